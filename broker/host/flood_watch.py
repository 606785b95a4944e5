"""Disconnects peers that flood the control and weights endpoints with subscriptions.

libzmq reads subscriptions in the thread that owns the socket, for as long as more arrive, and keeps
about fifty times their size in memory. A peer that never stops would monopolise that thread, so
another thread watches.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from headrace.broker.host.peer_connections import shut_down_flooders
from headrace.broker.host.process_memory import resident_bytes
from headrace.protocol.limits import MIB

_LOG = logging.getLogger("headrace.broker")
_LOOK_EVERY_S = 0.02
_GROWN_BYTES = 16 * MIB
_STALLED_S = 0.2
MAX_SUBSCRIPTION_BYTES = MIB
"""Limit per connection, applied on an alarm: enough for some ten thousand actors."""


class FloodAlarm:
    """Decides when to look for flooding peers."""

    def __init__(self) -> None:
        self._most_bytes = 0
        self._rounds = -1
        self._moved_at_s = 0.0

    def judge(self, memory_bytes: int, rounds: int, now_s: float) -> bool:
        """Returns whether memory has reached a new maximum, or the broker's loop has stalled.

        Args:
            rounds: iterations of the loop so far.
        """
        has_grown = memory_bytes > self._most_bytes + _GROWN_BYTES
        if has_grown:
            self._most_bytes = memory_bytes
        if rounds != self._rounds:
            self._rounds, self._moved_at_s = rounds, now_s
        return has_grown or now_s - self._moved_at_s > _STALLED_S


class FloodWatch:
    """The watching thread; call `stop` to end it."""

    def __init__(self, ports: Collection[int], rounds: Callable[[], int]) -> None:
        self._ports = frozenset(ports)
        self._rounds = rounds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        alarm = FloodAlarm()
        while not self._stopping.wait(_LOOK_EVERY_S):
            if alarm.judge(resident_bytes(), self._rounds(), time.monotonic()):
                for received in shut_down_flooders(self._ports, MAX_SUBSCRIPTION_BYTES):
                    _LOG.warning(
                        "disconnected a peer that sent %.1f MiB of subscriptions", received / MIB
                    )
