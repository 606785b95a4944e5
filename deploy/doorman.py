"""Keys for a policy server: the broker's gate at another socket."""

from __future__ import annotations

from pathlib import Path

import zmq

from headrace.broker.gate import KeyedGate
from headrace.broker.key_folder import KeyFolder
from headrace.broker.sockets import serve_encrypted
from headrace.protocol.errors import ConfigError


class KeyDoorman:
    """Lets in who was invited as an actor; see `actors.policy_server.Doorman`."""

    def __init__(self, keys: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Reads the folder of `headrace keygen`.

        Raises:
            ConfigError: it cannot be used.
        """
        self._gate = KeyedGate(KeyFolder(keys), context)

    @property
    def requests(self) -> zmq.Socket[bytes] | None:
        return self._gate.requests

    def secure(self, socket: zmq.Socket[bytes], domain: str) -> None:
        if self._gate.key is None:
            raise ConfigError("the folder of keys has no server key")
        serve_encrypted(socket, domain, self._gate.key)

    def answer_requests(self) -> None:
        self._gate.answer_requests(lambda _: False)

    def receive(self, socket: zmq.Socket[bytes]) -> tuple[str, list[bytes]]:
        # Only a frame that is not copied tells who sent it.
        frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        return self._gate.name_of([frames[-1].buffer]), [frame.bytes for frame in frames]

    def look(self) -> bool:
        return self._gate.refresh()

    def close(self) -> None:
        """Lets nobody in any more."""
        self._gate.close()
