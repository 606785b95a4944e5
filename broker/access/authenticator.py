"""Authentication of connections, and the sender's name for each message."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import zmq

from headrace.broker.access.handshake_watch import HandshakeWatch
from headrace.broker.access.key_folder import KeyFolder, ServerKey
from headrace.broker.access.permissions import AllPermissions, Permissions
from headrace.broker.access.refused_keys import RefusedKeys
from headrace.broker.access.zap import answer, bind_authenticator
from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.frames import user_of

_LOG = logging.getLogger("headrace.broker")
_REQUESTS_PER_ROUND = 64


class Authenticator(abc.ABC):
    """Decides which peers may connect.

    Attributes:
        key: the broker's key pair; None if traffic is not encrypted.
    """

    key: ServerKey | None = None

    @property
    @abc.abstractmethod
    def polled(self) -> Collection[zmq.Socket[bytes]]:
        """Sockets to poll: `answer_requests` when one of them is readable; none without keys."""

    @property
    @abc.abstractmethod
    def permissions(self) -> Permissions:
        """The permissions in force."""

    @abc.abstractmethod
    def name_of(self, frames: Sequence[memoryview]) -> str:
        """Returns the name that a message's sender was authenticated as; empty without keys."""

    @abc.abstractmethod
    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        """Answers libzmq's pending requests; a quarantined peer gets a temporary error."""

    @abc.abstractmethod
    def watch(self, sockets: Mapping[str, zmq.Socket[bytes]]) -> None:
        """Reports connections to these sockets that fail before their key is known.

        Args:
            sockets: by endpoint name; they replace the former ones.
        """

    @abc.abstractmethod
    def refresh(self) -> bool:
        """Reloads the invitations; returns whether every peer must reconnect."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stops admitting peers."""


class NoAuthentication(Authenticator):
    """No keys: any peer that can reach the address may do everything."""

    @property
    def polled(self) -> Collection[zmq.Socket[bytes]]:
        return ()

    def __init__(self) -> None:
        self._permissions = AllPermissions()

    @property
    def permissions(self) -> Permissions:
        return self._permissions

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return ""

    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        pass

    def watch(self, sockets: Mapping[str, zmq.Socket[bytes]]) -> None:
        pass

    def refresh(self) -> bool:
        return False

    def close(self) -> None:
        pass


class KeyAuthenticator(Authenticator):
    """Admits only peers with an invitation."""

    def __init__(self, folder: KeyFolder, context: Context) -> None:
        self._folder = folder
        self._changed_ns = folder.changed_ns
        self._permissions = folder.permissions()
        self.key = folder.server_key()
        self._requests = bind_authenticator(context)
        self._refused = RefusedKeys()
        self._handshakes = HandshakeWatch({})

    @property
    def polled(self) -> Collection[zmq.Socket[bytes]]:
        return (self._requests, *self._handshakes.monitors.values())

    @property
    def permissions(self) -> Permissions:
        return self._permissions

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return user_of(frames)

    def answer_requests(self, is_quarantined: Callable[[str], bool]) -> None:
        for report in self._handshakes.take_reports():
            _LOG.warning("%s", report)
        for _ in range(_REQUESTS_PER_ROUND):
            try:
                routing_id, empty, *request = self._requests.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            reply = answer(request, self._permissions, is_quarantined, self._report)
            self._requests.send_multipart([routing_id, empty, *reply])

    def watch(self, sockets: Mapping[str, zmq.Socket[bytes]]) -> None:
        self._handshakes.close()
        self._handshakes = HandshakeWatch(sockets)

    def refresh(self) -> bool:
        try:
            changed_ns = self._folder.changed_ns
            if changed_ns == self._changed_ns:
                return False
            former, self._permissions = self._permissions, self._folder.permissions()
        except ConfigError as error:  # the next refresh may succeed
            _LOG.warning("cannot reload the invitations, keeping the old ones: %s", error)
            return False
        self._changed_ns = changed_ns
        self._refused.replace(former, self._permissions)
        if not self._permissions.has_lost(former):
            return False
        self.watch({})  # the caller closes the sockets
        return True

    def close(self) -> None:
        self._handshakes.close()
        self._requests.close(linger=0)

    def _report(self, key: str, endpoint: str, address: str) -> None:
        report = self._refused.report(key, endpoint, address, self._permissions)
        if report is not None:
            _LOG.warning("%s", report)


def make_authenticator(keys: str, context: Context) -> Authenticator:
    """Returns the authenticator for a folder of keys, or `NoAuthentication` for an empty path.

    Raises:
        ConfigError: the folder cannot be used.
    """
    return KeyAuthenticator(KeyFolder(Path(keys)), context) if keys else NoAuthentication()
