"""The broker's gate: whom it lets in, asked for each connection and each message."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq

from headrace.broker.access.key_folder import KeyFolder, ServerKey
from headrace.broker.access.permissions import Access, OpenAccess
from headrace.broker.access.zap import answer, bind_authenticator
from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.frames import user_of

_LOG = logging.getLogger("headrace.broker")
_REQUESTS_PER_ROUND = 64


class Gate(abc.ABC):
    """Strategy of the service.

    Attributes:
        key: the broker's key pair, None where nothing is encrypted.
        requests: where libzmq asks who may connect, None where it does not.
    """

    key: ServerKey | None = None
    requests: zmq.Socket[bytes] | None = None

    @property
    @abc.abstractmethod
    def access(self) -> Access:
        """Who may do what now."""

    @abc.abstractmethod
    def name_of(self, frames: Sequence[memoryview]) -> str:
        """Returns what the sender of a message was authenticated as."""

    @abc.abstractmethod
    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        """Answers what has been asked; who is in quarantine may come later."""

    @abc.abstractmethod
    def refresh(self) -> bool:
        """Looks who was invited or revoked; returns whether somebody has to be disconnected."""

    @abc.abstractmethod
    def close(self) -> None:
        """Admits nobody any more."""


class OpenGate(Gate):
    """No keys: whoever can reach the address may do everything."""

    def __init__(self) -> None:
        self._open = OpenAccess()

    @property
    def access(self) -> Access:
        return self._open

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return ""

    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        pass

    def refresh(self) -> bool:
        return False

    def close(self) -> None:
        pass


class KeyedGate(Gate):
    """Only who was invited."""

    def __init__(self, folder: KeyFolder, context: Context) -> None:
        self._folder = folder
        self._changed_ns = folder.changed_ns
        self._keyed = folder.access()
        self.key = folder.server_key()
        self._requests = self.requests = bind_authenticator(context)

    @property
    def access(self) -> Access:
        return self._keyed

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return user_of(frames)

    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        for _ in range(_REQUESTS_PER_ROUND):
            try:
                routing_id, empty, *request = self._requests.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            reply = answer(request, self._keyed, is_quarantined)
            self._requests.send_multipart([routing_id, empty, *reply])

    def refresh(self) -> bool:
        try:
            changed_ns = self._folder.changed_ns
            if changed_ns == self._changed_ns:
                return False
            former, self._keyed = self._keyed, self._folder.access()
        except ConfigError as error:  # who is known stays known, and the next look may succeed
            _LOG.warning("goes on with the keys it knows: %s", error)
            return False
        self._changed_ns = changed_ns
        return self._keyed.has_lost(former)

    def close(self) -> None:
        self._requests.close(linger=0)


def make_gate(keys: str, context: Context) -> Gate:
    """Returns the gate for a folder of keys, or an open one for an empty path.

    Raises:
        ConfigError: the folder cannot be used.
    """
    return KeyedGate(KeyFolder(Path(keys)), context) if keys else OpenGate()
