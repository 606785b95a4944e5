"""A runner's link to its brokers: it takes data and evaluations, and publishes weights."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence

import zmq

from headrace.learner.connection.broker_sessions import BrokerSessions
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.loop import BrokerSocket, LinkLoop
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.errors import HeadraceError, RefusedError
from headrace.protocol.identity import MAX_SAFE_INTEGER
from headrace.protocol.messages import (
    Assignment,
    FleetReport,
    LearnerProgress,
)
from headrace.protocol.silence import SilenceWatch
from headrace.protocol.silence_warnings import SilenceWarnings
from headrace.protocol.zeromq.background import BackgroundWarning
from headrace.protocol.zeromq.client_socket import Context, make_client_socket
from headrace.protocol.zeromq.wake_pair import WakePair

_LOG = logging.getLogger("headrace.learner")
_LOOK_AGAIN_S = 1.0
_BROKER = "the broker"

Clock = Callable[[], float]


class LearnerStopping(HeadraceError):
    """Raised by `sample()` when the training loop was asked to stop."""


class BrokerLink:
    """A learner's connection to its brokers, which need not be running yet and may restart.

    The DEALER sockets have no receive high-water mark: the requested env steps bound what arrives.
    """

    def __init__(
        self,
        targets: Sequence[BrokerTarget],
        identity: LearnerIdentity,
        context: Context,
        clock: Clock = time.monotonic,
    ) -> None:
        self._targets = targets
        self._silence = BackgroundWarning(_LOG)
        self._waits: SilenceWarnings | None = None
        self._clock = clock
        self._sessions = BrokerSessions(identity, len(targets), _new_session_id)
        self._changed = threading.Condition()
        self._interrupted = False
        self._is_closed = False
        sockets = [_connect(target, context, clock()) for target in targets]
        self._loop = LinkLoop(self._sessions, sockets, WakePair(context), self._changed, clock)

    def take(self, env_steps: int, timeout_s: float) -> list[LeasedBatch]:
        """Returns all ready batches once they hold `env_steps`, or those that came in time.

        Raises:
            LearnerStopping: `interrupt` was called.
            RefusedError: the broker will not serve this learner.
        """
        deadline_s = self._clock() + timeout_s
        with self._changed:
            self._sessions.request(env_steps, self._clock())
            self._loop.wake()
            self._wait_for(
                lambda: self._sessions.ready_env_steps >= env_steps,
                lambda: self._explain(env_steps),
                deadline_s,
            )
            taken: list[LeasedBatch] = []
            while (batch := self._sessions.take()) is not None:
                taken.append(batch)
            return taken

    def request(self, env_steps: int) -> None:
        """Prefetches this many env steps for the next `take`."""
        with self._changed:
            self._sessions.request(env_steps, self._clock())
            self._loop.wake()

    def evaluate(self, episodes: int, max_env_steps: int | None = None) -> list[LeasedBatch]:
        """Returns this many whole episodes, run by actors with the offered weights or newer ones.

        Args:
            max_env_steps: episodes are truncated at this many; None for no limit.

        Raises:
            LearnerStopping: the run is stopping.
            RefusedError: the broker will not serve this learner.
        """
        sessions = self._sessions
        with self._changed:
            self._wait_for(lambda: sessions.offer_is_settled, self._explain_offer)
            sessions.begin_evaluation(episodes, max_env_steps, _new_task, self._clock())
            self._loop.wake()
            try:
                self._wait_for(
                    lambda: sessions.evaluated_episodes >= episodes,
                    lambda: self._explain_evaluation(episodes),
                )
            finally:
                evaluated = sessions.end_evaluation()
                self._loop.wake()
            return evaluated

    def confirm(self, batch: LeasedBatch) -> None:
        """Confirms the batches up to this one; call it once training has all of them."""
        with self._changed:
            self._sessions.confirm(batch)
            self._loop.wake()

    def assign(self, assignment: Assignment) -> None:
        """Assigns something else to actors' next episodes; see `headrace.learner.assign`."""
        with self._changed:
            self._sessions.assign(assignment)
            self._loop.wake()

    def announce_stop(self) -> None:
        """Announces to all sessions of the run, through the broker, that the run is stopping."""
        with self._changed:
            self._sessions.stop()
            self._loop.wake()

    def offer(self, weights: OfferedWeights) -> None:
        """Offers weights for publication."""
        with self._changed:
            self._sessions.offer(weights)
            self._loop.wake()

    def report_progress(self, progress: LearnerProgress) -> None:
        """Reports training progress with the next pull."""
        with self._changed:
            self._sessions.report_progress(progress)

    @property
    def report(self) -> FleetReport | None:
        """The newest report on fleet and queue, over all brokers."""
        return self._sessions.report

    @property
    def epoch(self) -> int:
        """The epoch of the learner's versions, 0 until a broker has granted one."""
        return self._sessions.epoch

    def fresh_report(self, timeout_s: float) -> FleetReport | None:
        """Returns a report made after this call, or the newest one if none arrives in time."""
        with self._changed:
            seen = self._sessions.report_counts
            self._sessions.hasten_reports()
            self._loop.wake()

            def has_come() -> bool:
                return self._sessions.have_reported_since(seen)

            with self._loop.awaiting(has_come):
                self._changed.wait_for(has_come, timeout_s)
            return self._sessions.report

    def interrupt(self) -> None:
        """Makes this `take` and all later ones raise LearnerStopping; from any thread."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def close(self) -> None:
        """Says goodbye and disconnects; unconfirmed batches return to the broker's queue."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._loop.stop()
        self._loop.join()

    def _wait_for(
        self,
        condition: Callable[[], bool],
        explain: Callable[[], None],
        deadline_s: float = float("inf"),
    ) -> None:
        """Waits for a condition until the deadline, and logs the reason, ever more rarely."""
        sessions = self._sessions
        if self._waits is None:  # else the last one was given up: its reason was logged
            self._waits = SilenceWarnings([_BROKER], self._clock())

        def is_over() -> bool:
            return (
                condition()
                or sessions.refusal is not None
                or self._loop.failure is not None
                or self._is_interrupted
            )

        with self._loop.awaiting(is_over):
            while not is_over() and (now_s := self._clock()) < deadline_s:
                if self._waits.take_due(now_s):
                    explain()
                self._changed.wait(min(deadline_s - now_s, _LOOK_AGAIN_S))
            if condition():
                self._waits = None
        if self._is_interrupted:
            raise LearnerStopping("the learner was asked to stop")
        if sessions.refusal is not None:
            raise self._named(*sessions.refusal)
        if self._loop.failure is not None:
            raise HeadraceError("the learner's thread ended") from self._loop.failure

    @property
    def _is_interrupted(self) -> bool:
        return self._interrupted or self._sessions.run_is_stopping

    def _named(self, broker: int, refusal: RefusedError) -> RefusedError:
        """Returns a refusal that says by which broker, if there are several."""
        if len(self._targets) == 1:
            return refusal
        return RefusedError(refusal.code, f"{self._targets[broker].address}: {refusal.reason}")

    def _explain_offer(self) -> None:
        if self._sessions.absent:
            self._explain_absence()
        else:
            _LOG.warning("waiting for %s to take new weights", self._brokers)

    def _explain_absence(self) -> None:
        absent = [self._targets[number] for number in self._sessions.absent]
        self._silence.log(lambda: "; ".join(target.describe_silence() for target in absent))

    def _explain_evaluation(self, episodes: int) -> None:
        report = self._sessions.report
        evaluators = report.evaluators if report is not None else 0
        _LOG.warning(
            "waiting for %d evaluation episodes, %d have arrived; %d actors evaluate%s",
            episodes,
            self._sessions.evaluated_episodes,
            evaluators,
            "" if evaluators else ": every Python actor does; start one",
        )

    def _explain(self, env_steps: int) -> None:
        sessions = self._sessions
        if sessions.absent:
            self._explain_absence()
        if not sessions.is_joined:
            return
        report = sessions.report
        _LOG.warning(
            "waiting for data: %d of %d env steps; %d actors are connected to %s",
            sessions.ready_env_steps,
            env_steps,
            report.actors if report is not None else 0,
            self._brokers,
        )

    @property
    def _brokers(self) -> str:
        count = len(self._targets)
        return "the broker" if count == 1 else f"{count} brokers"


def _connect(target: BrokerTarget, context: Context, now_s: float) -> BrokerSocket:
    endpoint, options = target.endpoint, {"RCVHWM": 0, "LINGER": 0}
    dealer = make_client_socket(context, zmq.DEALER, endpoint, options, target.invitation)
    dealer.connect(endpoint)
    return BrokerSocket(dealer, target.address, endpoint, SilenceWatch(now_s))


def _new_session_id() -> int:
    return secrets.randbelow(MAX_SAFE_INTEGER) + 1


def _new_task() -> str:
    return secrets.token_hex(8)
