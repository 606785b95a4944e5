"""Keys for a policy server: the broker's authenticator at another socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import zmq

from headrace.broker.access.authenticator import KeyedGate
from headrace.broker.access.key_folder import KeyFolder
from headrace.protocol.zeromq import server_socket
from headrace.protocol.zeromq.client_socket import Context


class ServerKeys:
    """Admits the peers that were invited as actors; see `PeerAuthenticator`."""

    def __init__(self, keys: Path, context: Context) -> None:
        """Reads the folder of `headrace keygen`.

        Raises:
            ConfigError: it cannot be used.
        """
        folder = KeyFolder(keys)
        self._key = folder.server_key()
        self._gate = KeyedGate(folder, context)

    @property
    def requests(self) -> zmq.Socket[bytes] | None:
        return self._gate.requests

    def require_keys(self, socket: zmq.Socket[bytes], domain: str) -> None:
        key = self._key
        server_socket.require_keys(socket, domain, key.public_key, key.secret_key)

    def answer_requests(self) -> None:
        self._gate.answer_requests(lambda _: False)

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return self._gate.name_of(frames)

    def refresh(self) -> bool:
        return self._gate.refresh()

    def close(self) -> None:
        """Admits no peer any more."""
        self._gate.close()
