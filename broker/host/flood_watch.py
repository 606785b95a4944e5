"""Hangs up on peers that flood the endpoints to which one only subscribes.

libzmq reads subscriptions in the thread that owns the socket, for as long as more arrive, and keeps
about fifty times their size in memory. Whoever sends them without end would have that thread for
itself; so another thread looks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from headrace.broker.host.peer_connections import hang_up_on_talkers
from headrace.broker.host.process_memory import resident_bytes
from headrace.protocol.limits import MIB

_LOG = logging.getLogger("headrace.broker")
_LOOK_EVERY_S = 0.02
_GROWN_BYTES = 16 * MIB
_STALLED_S = 0.2
MAX_SUBSCRIPTION_BYTES = MIB
"""Of one connection, whenever there is an alarm: enough for some ten thousand actors."""


class FloodAlarm:
    """Says when to look who talks too much."""

    def __init__(self) -> None:
        self._most_bytes = 0
        self._rounds = -1
        self._moved_at_s = 0.0

    def judge(self, memory_bytes: int, rounds: int, now_s: float) -> bool:
        """Returns whether memory has grown beyond all before, or the broker's loop stands still.

        Args:
            rounds: how often the loop has gone round.
        """
        has_grown = memory_bytes > self._most_bytes + _GROWN_BYTES
        if has_grown:
            self._most_bytes = memory_bytes
        if rounds != self._rounds:
            self._rounds, self._moved_at_s = rounds, now_s
        return has_grown or now_s - self._moved_at_s > _STALLED_S


class FloodWatch:
    """The thread that looks; `stop` it."""

    def __init__(self, ports: Collection[int], rounds: Callable[[], int]) -> None:
        self._ports = frozenset(ports)
        self._rounds = rounds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        alarm = FloodAlarm()
        while not self._stopping.wait(_LOOK_EVERY_S):
            if alarm.judge(resident_bytes(), self._rounds(), time.monotonic()):
                for received in hang_up_on_talkers(self._ports, MAX_SUBSCRIPTION_BYTES):
                    _LOG.warning(
                        "hung up on a peer that has sent %.1f MiB of subscriptions", received / MIB
                    )
