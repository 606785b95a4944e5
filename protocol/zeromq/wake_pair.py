"""Wakes a poll loop from other threads."""

from __future__ import annotations

import contextlib
import secrets

import zmq

from headrace.protocol.zeromq.client_socket import Context

_UNREAD_WAKES = 8


class WakePair:
    """Wakes a poll loop from other threads, which must share a lock around `wake`.

    The loop polls `receive`, and drains it when it wakes.
    """

    def __init__(self, context: Context) -> None:
        endpoint = f"inproc://headrace-wake-{secrets.token_hex(8)}"
        self.receive, self._send = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self.receive.bind(endpoint)
        self._send.set(zmq.SNDHWM, _UNREAD_WAKES)
        self._send.connect(endpoint)

    def wake(self) -> None:
        """Wakes the loop."""
        with contextlib.suppress(zmq.Again):  # full: the loop has enough unread wakes already
            self._send.send(b"", zmq.NOBLOCK)

    def close(self) -> None:
        """Closes both ends, once the loop has ended."""
        self._send.close(linger=0)
        self.receive.close(linger=0)
