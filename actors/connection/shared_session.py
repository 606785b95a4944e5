"""A session that the caller's threads share with the thread that serves it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator

from headrace.actors.connection.loop import ClientLoop, Clock
from headrace.actors.connection.ownership import Ownership
from headrace.actors.connection.session import ActorSession
from headrace.actors.connection.sockets import ClientSockets
from headrace.protocol.errors import HeadraceError
from headrace.protocol.zeromq.wake_pair import WakePair

_LONGEST_WAIT_S = 1.0


class SharedSession:
    """Guards a session with a lock, and waits for it to change.

    Attributes:
        state: the session; hold it, except for reads of one attribute.
        ownership: the process and the agent that may use it.
    """

    def __init__(
        self, state: ActorSession, sockets: ClientSockets, wake_pair: WakePair, clock: Clock
    ) -> None:
        """Starts the thread that serves the session."""
        self.state = state
        self.ownership = Ownership()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._loop = ClientLoop(state, sockets, wake_pair, self._changed, clock)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._stopping.is_set()

    @contextlib.contextmanager
    def held(self) -> Generator[ActorSession]:
        """Holds the session's lock; raises as `Ownership.require_own_process` does."""
        self.ownership.require_own_process()
        with self._changed:
            yield self.state

    def wait(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        """Waits, while the session is held, for a condition; returns whether it holds.

        Raises:
            RefusedError: the broker will not serve this actor.
        """

        def is_over() -> bool:
            return (
                condition()
                or self.state.refusal is not None
                or self._loop.failure is not None
                or self._stopping.is_set()
            )

        deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        # In parts: on Windows, Ctrl-C does not end a wait.
        while not is_over() and (left_s := deadline_s - time.monotonic()) > 0.0:
            self._changed.wait(min(left_s, _LONGEST_WAIT_S))
        self.raise_refusal()
        return condition()

    def raise_refusal(self) -> None:
        """Raises RefusedError if the broker will not serve this actor."""
        if self.state.refusal is not None:
            raise self.state.refusal
        if self._loop.failure is not None:
            raise HeadraceError("the client's thread ended") from self._loop.failure

    def send_due(self) -> None:
        """Sends what is due, while the session is held."""
        self._loop.send_due()

    def close(self, flush_s: float) -> None:
        """Delivers finished batches for at most `flush_s`, and ends the thread."""
        if self._stopping.is_set() or not self.ownership.is_own_process:
            return
        with self._changed:
            with contextlib.suppress(HeadraceError):  # a refused actor cannot deliver
                self.wait(lambda: self.state.unaccepted == 0, flush_s)
            self._stopping.set()
            self._loop.stop()
            self._changed.notify_all()
        self._loop.join()
