"""Keys for a policy server: the broker's authenticator on another socket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import zmq

from headrace.broker.access.authenticator import KeyAuthenticator
from headrace.broker.access.key_folder import KeyFolder
from headrace.protocol.zeromq import server_socket
from headrace.protocol.zeromq.client_socket import Context


class ServerKeys:
    """Admits peers that are invited as actors; see `PeerAuthenticator`."""

    def __init__(self, keys: Path, context: Context) -> None:
        """Reads a folder made by `headrace keygen`.

        Raises:
            ConfigError: it cannot be used.
        """
        folder = KeyFolder(keys)
        self._key = folder.server_key()
        self._authenticator = KeyAuthenticator(folder, context)

    @property
    def polled(self) -> Collection[zmq.Socket[bytes]]:
        return self._authenticator.polled

    def require_keys(self, socket: zmq.Socket[bytes], domain: str) -> None:
        key = self._key
        server_socket.require_keys(socket, domain, key.public_key, key.secret_key)
        self._authenticator.watch({domain: socket})

    def answer_requests(self) -> None:
        self._authenticator.answer_requests(lambda _: False)

    def name_of(self, frames: Sequence[memoryview]) -> str:
        return self._authenticator.name_of(frames)

    def refresh(self) -> bool:
        return self._authenticator.refresh()

    def close(self) -> None:
        """Stops admitting peers."""
        self._authenticator.close()
