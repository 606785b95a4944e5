"""The thread of a socket loop: how it ends, and who learns of its failure."""

from __future__ import annotations

import threading

import pytest
from support.running import DEADLINE_S, Context

from headrace.protocol.zeromq.frames import drain
from headrace.protocol.zeromq.socket_loop import SocketLoop
from headrace.protocol.zeromq.wake_pair import WakePair


class Waiting(SocketLoop):
    """Polls its wake pair until it is stopped; fails first, if it was given an error."""

    def __init__(self, context: Context, changed: threading.Condition, error: str = "") -> None:
        super().__init__(WakePair(context), changed)
        self._error = error
        self._start("waiting")

    def _serve_until_stopped(self) -> None:
        if self._error:
            raise ValueError(self._error)
        while not self._is_stopping:
            self._wake_pair.receive.poll()
            drain(self._wake_pair.receive)


def test_a_stop_wakes_the_thread(context: Context) -> None:
    loop = Waiting(context, threading.Condition())
    loop.stop()
    loop.join()
    assert loop.failure is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_waiters_are_notified_of_an_error_that_ends_the_thread(context: Context) -> None:
    changed = threading.Condition()
    with changed:
        loop = Waiting(context, changed, "a fault of the program")
        assert changed.wait_for(lambda: loop.failure is not None, DEADLINE_S)
    assert str(loop.failure) == "a fault of the program"
    loop.stop()
    loop.join()
