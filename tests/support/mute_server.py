"""A policy server that receives and never answers."""

from __future__ import annotations

from typing import Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from support.running import Context


class MuteServer:
    """Counts the connections made to it."""

    def __init__(self, context: Context) -> None:
        self._socket = context.socket(zmq.ROUTER)
        self._accepted = self._socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._connections = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.disable_monitor()
        self._accepted.close(linger=0)
        self._socket.close(linger=0)

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        while self._accepted.poll(0):
            recv_monitor_message(self._accepted)
            self._connections += 1
        return self._connections
