"""The thread that owns a client's sockets: receives, sends what is due, notifies waiters."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

import zmq

from headrace.actors.connection.session import ActorSession
from headrace.actors.connection.silence_report import SilenceReport
from headrace.actors.connection.sockets import ClientSockets
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.zeromq.frames import drain
from headrace.protocol.zeromq.socket_loop import SocketLoop
from headrace.protocol.zeromq.wake_pair import WakePair

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]


class ClientLoop(SocketLoop):
    """Serves a session in a daemon thread.

    The session is shared with the simulator's threads: `changed` guards it, and is notified
    whenever it may have changed. Call `send_due` and `stop` while holding it.
    """

    def __init__(
        self,
        session: ActorSession,
        sockets: ClientSockets,
        wake_pair: WakePair,
        changed: threading.Condition,
        clock: Clock,
    ) -> None:
        super().__init__(wake_pair, changed)
        self._session = session
        self._sockets = sockets
        self._clock = clock
        self._is_blocked = False
        self._silence = SilenceReport(sockets.address, has_keys=sockets.has_keys)
        self._start(f"headrace-client-{session.actor}")

    def send_due(self) -> None:
        """Sends what is due from the caller's thread, which holds `changed`.

        Waking the other thread would take several times as long. While the broker takes nothing,
        that thread polls the socket, and no other thread may touch it.
        """
        if self._is_blocked or self._is_stopping:
            return
        self._is_blocked = not self._send(self._clock())
        if self._is_blocked:
            self._wake_pair.wake()

    def _serve_until_stopped(self) -> None:
        sockets = self._sockets
        poller = zmq.Poller()
        receivers = (sockets.control, sockets.weights, sockets.disconnections)
        for receiver in (*receivers, self._wake_pair.receive):
            poller.register(receiver, zmq.POLLIN)
        while not self._is_stopping:
            poller.register(sockets.push, zmq.POLLOUT if self._is_blocked else 0)
            poller.poll(self._poll_ms(self._left_s()))
            drain(self._wake_pair.receive)
            with self._changed:
                self._receive()
                self._reconnect_if_silent()
                self._report_silence()
                self._is_blocked = not self._send(self._clock())
                self._changed.notify_all()
        with contextlib.suppress(zmq.Again):
            sockets.push.send_multipart(self._session.goodbye(), zmq.NOBLOCK)
        sockets.close()

    def _left_s(self) -> float:
        """Returns the time until something is due; while blocked, only the broker ends a wait."""
        if self._is_blocked:
            return float("inf")
        return self._session.next_event_at_s() - self._clock()

    def _receive(self) -> None:
        now_s = self._clock()
        if drain(self._sockets.disconnections):
            self._session.on_disconnect(now_s)
        had_learner = self._session.learner_is_connected
        for frames in drain(self._sockets.control):
            try:
                self._session.on_control(frames[1:], now_s)
            except RemoteProtocolError as error:
                _LOG.warning("dropped a control message: %s", error)
        if had_learner is not False and self._session.learner_is_connected is False:
            _LOG.warning("waiting for a learner: the broker has none")
        for frames in drain(self._sockets.weights):
            try:
                self._session.on_weights(frames[1:])
            except RemoteProtocolError as error:
                _LOG.warning("dropped a weights message: %s", error)
        if self._session.run is not None:
            self._sockets.subscribe_weights(self._session.run)
        for reject in self._session.rejects:
            batch = f"batch {reject.seq}" if reject.seq else "a message"
            _LOG.warning("%s was rejected (%s): %s", batch, reject.code, reject.reason)
        self._session.rejects.clear()

    def _reconnect_if_silent(self) -> None:
        now_s = self._clock()
        for endpoint in self._session.take_silent_endpoints(now_s):
            _LOG.info("reconnecting to %s: it has been silent", endpoint)
            self._sockets.reconnect(endpoint)
            if endpoint == "ingest":
                self._session.on_disconnect(now_s)

    def _report_silence(self) -> None:
        now_s = self._clock()
        warnings = self._session.silence_warnings(now_s)
        if silent := warnings.take_due(now_s):
            self._silence.log(silent)
        elif warnings.take_recovery(now_s):
            _LOG.warning("the broker answers again")

    def _send(self, now_s: float) -> bool:
        """Sends what is due; returns False when the broker takes no more for now."""
        session, push = self._session, self._sockets.push
        try:
            presence = session.next_presence(now_s)
            if presence is not None:
                push.send_multipart(presence, zmq.NOBLOCK)
            while (batch := session.next_batch(now_s)) is not None:
                seq, frames = batch
                push.send_multipart(frames, zmq.NOBLOCK, copy=False)
                session.mark_sent(seq, now_s)
        except zmq.Again:
            return False
        return True
