"""The thread that keeps a learner session: alive, prefetching what was asked for, publishing."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator

import zmq

from headrace.learner.session import (
    LearnerIdentity,
    LearnerSession,
    LeasedBatch,
    OfferedWeights,
)
from headrace.protocol.connections import CONNECTION_OPTIONS, RECONNECT_OPTIONS
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import HeadraceError, RemoteProtocolError
from headrace.protocol.identity import MAX_SAFE_INTEGER, PolicyVersion
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import (
    Assignment,
    EvaluationRequest,
    FleetReport,
    LearnerProgress,
)
from headrace.protocol.silence import SilenceWatch

_LOG = logging.getLogger("headrace.learner")
_LONGEST_POLL_MS = 1000
_EXPLAIN_EVERY_S = 10.0
_GOODBYE_LINGER_MS = 500
_ANY_VERSION = PolicyVersion(0, 0)
_NO_WAIT = int(zmq.NOBLOCK)

Clock = Callable[[], float]


class LearnerStopping(HeadraceError):
    """Raised out of `sample()` when the training loop was asked to stop."""


class BrokerLink:
    """A learner's connection to a broker, which need not be there yet and may come back.

    The DEALER socket has no high-water mark for receiving: what may arrive is bounded by the env
    steps that were requested.
    """

    def __init__(
        self,
        address: str,
        identity: LearnerIdentity,
        context: zmq.Context[zmq.Socket[bytes]],
        clock: Clock = time.monotonic,
        invitation: Invitation | None = None,
    ) -> None:
        self._address = BrokerAddress.parse(address).learner
        self._clock = clock
        self._session = LearnerSession(identity, lambda: secrets.randbelow(MAX_SAFE_INTEGER) + 1)
        self._changed = threading.Condition()
        self._interrupted = False
        self._failure: Exception | None = None
        self._closing = False
        self._awaited: list[Callable[[], bool]] = []
        self._wake_receive, self._wake_send = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        wake = f"inproc://headrace-link-{secrets.token_hex(8)}"
        self._wake_receive.bind(wake)
        self._wake_send.set(zmq.SNDHWM, 8)
        self._wake_send.connect(wake)
        self._dealer = context.socket(zmq.DEALER)
        self._dealer.set(zmq.RCVHWM, 0)
        self._dealer.set(zmq.LINGER, 0)
        self._dealer.set(zmq.IPV6, int("[" in self._address))
        for name, value in (CONNECTION_OPTIONS | RECONNECT_OPTIONS).items():
            self._dealer.set(getattr(zmq, name), value)
        if invitation is not None:
            secret = invitation.secret_key.encode()
            self._dealer.set(zmq.CURVE_SERVERKEY, invitation.server_key.encode())
            self._dealer.set(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret))
            self._dealer.set(zmq.CURVE_SECRETKEY, secret)
        self._dealer.connect(self._address)
        self._silence = SilenceWatch(self._clock())
        self._thread = threading.Thread(target=self._serve, name="headrace-learner", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------- for the EnvRunner

    def take(self, env_steps: int, timeout_s: float) -> list[LeasedBatch]:
        """Returns all that is ready once it is so many env steps together, or what came in time.

        Raises:
            LearnerStopping: `interrupt` was called.
            RefusedError: the broker will not serve this learner.
        """
        deadline_s = self._clock() + timeout_s
        with self._changed:
            self._session.request(env_steps)
            self._wake()
            self._wait_for(
                lambda: self._session.ready_env_steps >= env_steps,
                lambda: self._explain(env_steps),
                deadline_s,
            )
            taken: list[LeasedBatch] = []
            while (batch := self._session.take()) is not None:
                taken.append(batch)
            return taken

    def request(self, env_steps: int) -> None:
        """Prefetches so many env steps for the next `take`."""
        with self._changed:
            self._session.request(env_steps)
            self._wake()

    def evaluate(self, episodes: int) -> list[LeasedBatch]:
        """Returns so many whole episodes, which actors ran with the offered weights or newer ones.

        Raises:
            LearnerStopping: the run is to end.
            RefusedError: the broker will not serve this learner.
        """
        session = self._session
        with self._changed:
            self._wait_for(lambda: session.offer_is_settled, self._explain_offer)
            session.evaluated.clear()
            session.evaluate(
                EvaluationRequest(secrets.token_hex(8), episodes, session.settled or _ANY_VERSION)
            )
            self._wake()
            try:
                self._wait_for(
                    lambda: len(session.evaluated) >= episodes,
                    lambda: self._explain_evaluation(episodes),
                )
            finally:
                session.evaluate(None)
            evaluated = list(session.evaluated)
            session.confirm(evaluated[-1])
            self._wake()
            return evaluated

    def confirm(self, batch: LeasedBatch) -> None:
        """Confirms the batches up to this one: all of them was handed to training."""
        with self._changed:
            self._session.confirm(batch)
            self._wake()

    def assign(self, assignment: Assignment) -> None:
        """Has actors run something else from their next episodes on; see `assigning.assign`."""
        with self._changed:
            self._session.assign(assignment)
            self._wake()

    def announce_stop(self) -> None:
        """Tells all sessions of the run, through the broker, that the run is to end."""
        with self._changed:
            self._session.stop()
            self._wake()

    def offer(self, weights: OfferedWeights) -> None:
        """Makes weights ready to be published."""
        with self._changed:
            self._session.offer(weights)
            self._wake()

    def tell(self, progress: LearnerProgress) -> None:
        """Tells how training stands, with the next pull."""
        with self._changed:
            self._session.progress = progress

    @property
    def report(self) -> FleetReport | None:
        """The newest report on fleet and queue."""
        return self._session.report

    @property
    def epoch(self) -> int:
        """The epoch that the broker granted, 0 before it did."""
        return self._session.epoch

    def fresh_report(self, timeout_s: float) -> FleetReport | None:
        """Returns a report that was made after this call, or the newest if none comes in time."""
        with self._changed:
            seen = self._session.report_count
            self._session.request(0)
            self._wake()
            with self._awaiting(lambda: self._session.report_count > seen) as has_come:
                self._changed.wait_for(has_come, timeout_s)
            return self._session.report

    def interrupt(self) -> None:
        """Makes the present and every later `take` raise LearnerStopping; from any thread."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def close(self) -> None:
        """Says goodbye and disconnects; what was not confirmed goes back to the broker's queue."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._wake()
        self._thread.join()
        self._wake_send.close(linger=0)

    def _wait_for(
        self,
        condition: Callable[[], bool],
        explain: Callable[[], None],
        deadline_s: float = float("inf"),
    ) -> None:
        """Waits until a condition holds or time is up, and says now and then what for."""
        session = self._session
        explain_at_s = self._clock() + _EXPLAIN_EVERY_S

        def is_over() -> bool:
            return (
                condition()
                or session.refusal is not None
                or self._failure is not None
                or self._is_interrupted
            )

        with self._awaiting(is_over):
            while not is_over() and (now_s := self._clock()) < deadline_s:
                if now_s >= explain_at_s:
                    explain()
                    explain_at_s = now_s + _EXPLAIN_EVERY_S
                self._changed.wait(min(deadline_s, explain_at_s) - now_s)
        if self._is_interrupted:
            raise LearnerStopping("the learner was asked to stop")
        if session.refusal is not None:
            raise session.refusal
        if self._failure is not None:
            raise HeadraceError("the learner's thread ended") from self._failure

    @contextlib.contextmanager
    def _awaiting(self, condition: Callable[[], bool]) -> Generator[Callable[[], bool]]:
        """Has the thread look at a condition whenever something has come, and wake who waits.

        To wake the waiting thread for each message would take longer than handling the message.
        """
        self._awaited.append(condition)
        try:
            yield condition
        finally:
            self._awaited.remove(condition)

    @property
    def _is_interrupted(self) -> bool:
        return self._interrupted or self._session.run_is_stopping

    def _explain_offer(self) -> None:
        if not self._session.is_joined:
            _LOG.warning("waiting for a broker at %s", self._address)
        else:
            _LOG.warning("waiting for the broker to take new weights")

    def _explain_evaluation(self, episodes: int) -> None:
        report = self._session.report
        evaluators = report.evaluators if report is not None else 0
        _LOG.warning(
            "waiting for %d evaluation episodes, %d are here; %d actors evaluate%s",
            episodes,
            len(self._session.evaluated),
            evaluators,
            "" if evaluators else ": those that step one environment do; start such an actor",
        )

    def _explain(self, env_steps: int) -> None:
        session = self._session
        if not session.is_joined:
            self._explain_offer()
            return
        actors = session.report.actors if session.report else 0
        _LOG.warning(
            "waiting for data: %d of %d env steps; %d actors are connected to the broker",
            session.ready_env_steps,
            env_steps,
            actors,
        )

    def _wake(self) -> None:
        """Wakes the thread; the caller holds the lock, which makes the socket's use safe."""
        with contextlib.suppress(zmq.Again):
            self._wake_send.send(b"", zmq.NOBLOCK)

    # ---------------------------------------------------------------- the thread

    def _serve(self) -> None:
        try:
            self._serve_until_closed()
        except Exception as error:  # whoever waits must hear of it, and it is raised there
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            raise

    def _serve_until_closed(self) -> None:
        poller = zmq.Poller()
        poller.register(self._dealer, zmq.POLLIN)
        poller.register(self._wake_receive, zmq.POLLIN)
        while not self._closing:
            wait_ms = (self._session.next_event_at_s() - self._clock()) * 1000 + 1
            ready = dict(poller.poll(int(max(0.0, min(_LONGEST_POLL_MS, wait_ms)))))
            with self._changed:
                if self._wake_receive in ready:
                    _drain(self._wake_receive)
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
        self._wake_receive.close(linger=0)

    def _reconnect_if_silent(self) -> None:
        if self._session.refusal is None and self._silence.is_overdue(self._clock()):
            _LOG.info("connects to the broker anew: it has been silent")
            self._dealer.disconnect(self._address)
            self._dealer.connect(self._address)

    def _receive(self) -> None:
        while (frames := _receive(self._dealer)) is not None:
            self._silence.hear(self._clock())
            try:
                self._session.on_message(frames, self._clock())
            except RemoteProtocolError as error:
                _LOG.warning("dropped a message from the broker: %s", error)


def _drain(socket: zmq.Socket[bytes]) -> None:
    while _receive(socket) is not None:
        pass


def _receive(socket: zmq.Socket[bytes]) -> list[memoryview] | None:
    """Returns the next message without copying it, None if there is none yet.

    pyzmq's own `recv_multipart` takes three times as long for two frames.
    """
    try:
        frame = socket.recv(_NO_WAIT, copy=False)
    except zmq.Again:
        return None
    frames = [frame.buffer]
    while frame.more:
        frame = socket.recv(_NO_WAIT, copy=False)
        frames.append(frame.buffer)
    return frames
