"""Ticks at a fixed rate, without drift."""

from __future__ import annotations

import os
import threading
import time


class Ticker:
    """Deadlines on the monotonic clock, all of them whole periods after the first.

    `wait`, work, read `late_s`, and `wait` again. Lateness does not accumulate: work that takes
    longer than a period skips the ticks that it overruns, and they are counted.

    Attributes:
        deadline_s: when the current tick was due.
        skipped: number of ticks that were due while an earlier one still worked.
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
        """Seconds since the current tick was due."""
        return time.monotonic() - self.deadline_s


def claim_processor(priority: int) -> None:
    """Gives this process a real-time priority, above all normal processes; Linux only.

    Call it before any thread is started, since threads inherit it: the ticks share Python's GIL
    with the client's thread, which must not be preempted while it holds that lock.

    Raises:
        PermissionError: it needs root, or CAP_SYS_NICE.
    """
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
