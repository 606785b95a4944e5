"""The thread that owns a learner's socket: receives, sends what is due, notifies waiters."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator

import zmq

from headrace.learner.connection.session import LearnerSession
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.silence import SilenceWatch
from headrace.protocol.zeromq.frames import drain, receive
from headrace.protocol.zeromq.socket_loop import SocketLoop
from headrace.protocol.zeromq.wake_pair import WakePair

_LOG = logging.getLogger("headrace.learner")
_GOODBYE_LINGER_MS = 500

Clock = Callable[[], float]


class LinkLoop(SocketLoop):
    """Serves a session in a daemon thread.

    The session is shared with the runner's threads: `changed` guards it. Hold it for every call
    except `join`.
    """

    def __init__(
        self,
        session: LearnerSession,
        dealer: zmq.Socket[bytes],
        endpoint: str,
        wake_pair: WakePair,
        changed: threading.Condition,
        clock: Clock,
    ) -> None:
        super().__init__(wake_pair, changed)
        self._session = session
        self._dealer = dealer
        self._endpoint = endpoint
        self._clock = clock
        self._silence = SilenceWatch(clock())
        self._awaited: list[Callable[[], bool]] = []
        self._start("headrace-learner")

    def wake(self) -> None:
        """Wakes the thread to send what has become due."""
        self._wake_pair.wake()

    @contextlib.contextmanager
    def awaiting(self, condition: Callable[[], bool]) -> Generator[None]:
        """Makes the thread check a condition after messages, and notify `changed` once it holds.

        Waking the waiting thread for each message would take longer than handling the message.
        """
        self._awaited.append(condition)
        try:
            yield
        finally:
            self._awaited.remove(condition)

    def _serve_until_stopped(self) -> None:
        poller = zmq.Poller()
        poller.register(self._dealer, zmq.POLLIN)
        poller.register(self._wake_pair.receive, zmq.POLLIN)
        while not self._is_stopping:
            left_s = self._session.next_event_at_s() - self._clock()
            ready = dict(poller.poll(self._poll_ms(left_s)))
            with self._changed:
                if self._wake_pair.receive in ready:
                    drain(self._wake_pair.receive)
                if self._dealer in ready:
                    self._receive()
                self._reconnect_if_silent()
                for frames in self._session.outgoing(self._clock()):
                    with contextlib.suppress(zmq.Again):  # repeated, or a new session repairs it
                        self._dealer.send_multipart(frames, zmq.NOBLOCK, copy=False)
                if any(condition() for condition in self._awaited):
                    self._changed.notify_all()
        with contextlib.suppress(zmq.Again):
            self._dealer.send_multipart(self._session.goodbye(), zmq.NOBLOCK)
        self._dealer.close(linger=_GOODBYE_LINGER_MS)

    def _reconnect_if_silent(self) -> None:
        if self._session.refusal is None and self._silence.restart_if_overdue(self._clock()):
            _LOG.info("reconnecting to the broker: it has been silent")
            self._dealer.disconnect(self._endpoint)
            self._dealer.connect(self._endpoint)

    def _receive(self) -> None:
        while (frames := receive(self._dealer)) is not None:
            self._silence.note_contact(self._clock())
            try:
                self._session.on_message(frames, self._clock())
            except RemoteProtocolError as error:
                _LOG.warning("dropped a message from the broker: %s", error)
