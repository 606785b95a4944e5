"""The thread that owns a learner's sockets: receives, sends what is due, notifies waiters."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import zmq

from headrace.learner.connection.broker_sessions import BrokerSessions
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.silence import SilenceWatch
from headrace.protocol.zeromq.frames import drain, receive
from headrace.protocol.zeromq.socket_loop import SocketLoop
from headrace.protocol.zeromq.wake_pair import WakePair

_LOG = logging.getLogger("headrace.learner")
_GOODBYE_LINGER_MS = 500

Clock = Callable[[], float]


@dataclass
class BrokerSocket:
    """A connected DEALER, and how long its broker has been silent."""

    dealer: zmq.Socket[bytes]
    address: str
    endpoint: str
    silence: SilenceWatch


class LinkLoop(SocketLoop):
    """Serves the sessions with all brokers in a daemon thread.

    The sessions are shared with the runner's threads: `changed` guards them. Hold it for every call
    except `join`.
    """

    def __init__(
        self,
        sessions: BrokerSessions,
        sockets: Sequence[BrokerSocket],
        wake_pair: WakePair,
        changed: threading.Condition,
        clock: Clock,
    ) -> None:
        super().__init__(wake_pair, changed)
        self._sessions = sessions
        self._sockets = sockets
        self._clock = clock
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
        for socket in (self._wake_pair.receive, *(broker.dealer for broker in self._sockets)):
            poller.register(socket, zmq.POLLIN)
        while not self._is_stopping:
            left_s = self._sessions.next_event_at_s() - self._clock()
            ready = dict(poller.poll(self._poll_ms(left_s)))
            with self._changed:
                if self._wake_pair.receive in ready:
                    drain(self._wake_pair.receive)
                for number, broker in enumerate(self._sockets):
                    if broker.dealer in ready:
                        self._receive(number, broker)
                self._reconnect_if_silent()
                self._send_due()
                self._log_changes()
                if any(condition() for condition in self._awaited):
                    self._changed.notify_all()
        for broker, goodbye in zip(self._sockets, self._sessions.goodbyes(), strict=True):
            with contextlib.suppress(zmq.Again):
                broker.dealer.send_multipart(goodbye, zmq.NOBLOCK)
            broker.dealer.close(linger=_GOODBYE_LINGER_MS)

    def _send_due(self) -> None:
        for number, frames in self._sessions.outgoing(self._clock()):
            with contextlib.suppress(zmq.Again):  # repeated, or a new session repairs it
                self._sockets[number].dealer.send_multipart(frames, zmq.NOBLOCK, copy=False)

    def _log_changes(self) -> None:
        changes = self._sessions.take_changes()
        if len(self._sockets) == 1:
            return  # who waits for it explains
        for number, is_live in changes:
            address = self._sockets[number].address
            if is_live:
                _LOG.info("the broker at %s takes part", address)
            else:
                _LOG.warning("the broker at %s is silent: the others take its share", address)

    def _reconnect_if_silent(self) -> None:
        if self._sessions.refusal is not None:
            return
        for broker in self._sockets:
            if broker.silence.restart_if_overdue(self._clock()):
                _LOG.info("reconnecting to the broker at %s: it has been silent", broker.address)
                broker.dealer.disconnect(broker.endpoint)
                broker.dealer.connect(broker.endpoint)

    def _receive(self, number: int, broker: BrokerSocket) -> None:
        while (frames := receive(broker.dealer)) is not None:
            broker.silence.note_contact(self._clock())
            try:
                self._sessions.on_message(number, frames, self._clock())
            except RemoteProtocolError as error:
                _LOG.warning("dropped a message from the broker at %s: %s", broker.address, error)
