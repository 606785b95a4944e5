"""Ends a command whose main thread does not stop by itself, as in a simulator's slow reset."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from headrace.deploy.exit_codes import ExitCode

_GRACE_S = 2.0


class GraceOver(BaseException):
    """Raised in the main thread, whatever it does, once its time to stop is over."""


class Grace:
    """The time that the main thread has, once it was asked to stop.

    After it, a signal raises GraceOver in the main thread, which reaches Python code and waits.
    Code that returns to Python only later gets the same time again, and then the process ends.
    """

    def __init__(self, close: Callable[[], None], grace_s: float = _GRACE_S) -> None:
        """Begins no earlier than with `begin`.

        Args:
            close: called before the process ends, in another thread; delivers what is finished.
        """
        self._close = close
        self._grace_s = grace_s
        self._has_stopped = threading.Event()
        self._is_over = False

    def begin(self) -> None:
        """Asks the main thread to stop in time; call it in another thread."""
        if self._has_stopped.wait(self._grace_s):
            return
        self._is_over = True
        main = threading.main_thread().ident
        if hasattr(signal, "pthread_kill") and main is not None:
            signal.pthread_kill(main, signal.SIGTERM)
            if self._has_stopped.wait(self._grace_s):
                return
        self._close()
        os._exit(ExitCode.OK)

    def end(self) -> None:
        """Tells that the main thread has stopped."""
        self._has_stopped.set()

    def raise_if_over(self) -> None:
        """Raises GraceOver once the time is over; for signal handlers."""
        if self._is_over and not self._has_stopped.is_set():
            raise GraceOver
