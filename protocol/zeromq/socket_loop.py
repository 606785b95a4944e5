"""The thread that serves the sockets of a client or a learner."""

from __future__ import annotations

import abc
import threading

from headrace.protocol.zeromq.wake_pair import WakePair

_LONGEST_POLL_MS = 1000


class SocketLoop(abc.ABC):
    """Serves sockets in a daemon thread; a subclass calls `_start` once it is complete.

    Attributes:
        failure: the exception that ended the thread, None unless there was one.
    """

    def __init__(self, wake_pair: WakePair, changed: threading.Condition) -> None:
        self._wake_pair = wake_pair
        self._changed = changed
        self._is_stopping = False
        self.failure: Exception | None = None

    def stop(self) -> None:
        """Asks the thread to say goodbye and end; then call `join` without holding `changed`."""
        self._is_stopping = True
        self._wake_pair.wake()

    def join(self) -> None:
        """Waits for the thread to end, and closes the wake pair."""
        self._thread.join()
        self._wake_pair.close()

    @abc.abstractmethod
    def _serve_until_stopped(self) -> None:
        """Polls and serves the sockets while `_is_stopping` is not set; then closes them."""

    @staticmethod
    def _poll_ms(left_s: float) -> int:
        """Returns how long to poll if something becomes due by time alone in `left_s`."""
        return int(max(0.0, min(_LONGEST_POLL_MS, left_s * 1000 + 1)))

    def _start(self, name: str) -> None:
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._serve_until_stopped()
        except Exception as error:  # waiters must wake up: they raise it
            with self._changed:
                self.failure = error
                self._changed.notify_all()
            raise
