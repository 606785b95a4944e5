"""Ticks at a fixed rate, whatever happens between them."""

from __future__ import annotations

import os
import threading
import time


class Ticker:
    """Deadlines on the monotonic clock, all of them whole periods after the first.

    `wait`, work, read `late_s`, and `wait` again. Lateness does not add up: work that takes longer
    than a period skips the ticks that it has overrun, and they are counted.

    Attributes:
        deadline_s: when the present tick was due.
        skipped: ticks that were due while an earlier one was still at work.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._pause = threading.Event()
        self.deadline_s = time.monotonic()
        self.skipped = 0

    def wait(self) -> None:
        """Waits until the next tick is due; returns at once if it is overdue."""
        now_s = time.monotonic()
        overrun = max(0, int((now_s - self.deadline_s) // self._period_s) - 1)
        self.skipped += overrun
        self.deadline_s += (1 + overrun) * self._period_s
        self._pause.wait(max(0.0, self.deadline_s - now_s))

    @property
    def late_s(self) -> float:
        """Seconds since the present tick was due."""
        return time.monotonic() - self.deadline_s


def claim_processor(priority: int) -> None:
    """Has the kernel run this process before all that have no real-time priority; Linux only.

    Call it before any thread is started, since threads inherit it: the ticks share Python's lock
    with the client's thread, which must not be kept waiting while it holds that.

    Raises:
        PermissionError: this needs root, or CAP_SYS_NICE.
    """
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
