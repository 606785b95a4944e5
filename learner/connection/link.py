"""A runner's link to the broker: it takes data and evaluations, and publishes weights."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable

import msgspec
import zmq

from headrace.learner.connection.loop import LinkLoop
from headrace.learner.connection.session import LearnerIdentity, LearnerSession, LeasedBatch
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import HeadraceError
from headrace.protocol.identity import MAX_SAFE_INTEGER, PolicyVersion
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import (
    Assignment,
    EvaluationRequest,
    FleetReport,
    LearnerProgress,
)
from headrace.protocol.silence_warnings import SilenceWarnings
from headrace.protocol.zeromq.background import BackgroundWarning
from headrace.protocol.zeromq.client_socket import Context, make_client_socket
from headrace.protocol.zeromq.diagnosis import LEARNER, diagnose
from headrace.protocol.zeromq.wake_pair import WakePair

_LOG = logging.getLogger("headrace.learner")
_LOOK_AGAIN_S = 1.0
_BROKER = "the broker"
_ANY_VERSION = PolicyVersion(0, 0)

Clock = Callable[[], float]


class LearnerStopping(HeadraceError):
    """Raised by `sample()` when the training loop was asked to stop."""


class BrokerLink:
    """A learner's connection to a broker, which need not be running yet and may restart.

    The DEALER socket has no receive high-water mark: the requested env steps bound what arrives.
    """

    def __init__(
        self,
        address: str,
        identity: LearnerIdentity,
        context: Context,
        clock: Clock = time.monotonic,
        invitation: Invitation | None = None,
    ) -> None:
        self._address = address
        self._endpoint = BrokerAddress.parse_remote(address).learner
        self._has_keys = invitation is not None
        self._silence = BackgroundWarning(_LOG)
        self._waits: SilenceWarnings | None = None
        self._clock = clock
        self._session = LearnerSession(identity, lambda: secrets.randbelow(MAX_SAFE_INTEGER) + 1)
        self._changed = threading.Condition()
        self._interrupted = False
        self._is_closed = False
        dealer = make_client_socket(
            context, zmq.DEALER, self._endpoint, {"RCVHWM": 0, "LINGER": 0}, invitation
        )
        dealer.connect(self._endpoint)
        self._loop = LinkLoop(
            self._session, dealer, self._endpoint, WakePair(context), self._changed, clock
        )

    def take(self, env_steps: int, timeout_s: float) -> list[LeasedBatch]:
        """Returns all ready batches once they hold `env_steps`, or those that came in time.

        Raises:
            LearnerStopping: `interrupt` was called.
            RefusedError: the broker will not serve this learner.
        """
        deadline_s = self._clock() + timeout_s
        with self._changed:
            self._session.request(env_steps)
            self._loop.wake()
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
        """Prefetches this many env steps for the next `take`."""
        with self._changed:
            self._session.request(env_steps)
            self._loop.wake()

    def evaluate(self, episodes: int, max_env_steps: int | None = None) -> list[LeasedBatch]:
        """Returns this many whole episodes, run by actors with the offered weights or newer ones.

        Args:
            max_env_steps: episodes are truncated at this many; None for no limit.

        Raises:
            LearnerStopping: the run is stopping.
            RefusedError: the broker will not serve this learner.
        """
        session = self._session
        with self._changed:
            self._wait_for(lambda: session.offer_is_settled, self._explain_offer)
            session.evaluated.clear()
            session.evaluate(
                EvaluationRequest(
                    secrets.token_hex(8),
                    episodes,
                    session.settled or _ANY_VERSION,
                    max_env_steps or msgspec.UNSET,
                )
            )
            self._loop.wake()
            try:
                self._wait_for(
                    lambda: session.evaluated_episodes >= episodes,
                    lambda: self._explain_evaluation(episodes),
                )
            finally:
                session.evaluate(None)
            evaluated = list(session.evaluated)
            session.confirm(evaluated[-1])
            self._loop.wake()
            return evaluated

    def confirm(self, batch: LeasedBatch) -> None:
        """Confirms the batches up to this one; call it once training has all of them."""
        with self._changed:
            self._session.confirm(batch)
            self._loop.wake()

    def assign(self, assignment: Assignment) -> None:
        """Assigns something else to actors' next episodes; see `headrace.learner.assign`."""
        with self._changed:
            self._session.assign(assignment)
            self._loop.wake()

    def announce_stop(self) -> None:
        """Announces to all sessions of the run, through the broker, that the run is stopping."""
        with self._changed:
            self._session.stop()
            self._loop.wake()

    def offer(self, weights: OfferedWeights) -> None:
        """Offers weights for publication."""
        with self._changed:
            self._session.offer(weights)
            self._loop.wake()

    def report_progress(self, progress: LearnerProgress) -> None:
        """Reports training progress with the next pull."""
        with self._changed:
            self._session.progress = progress

    @property
    def report(self) -> FleetReport | None:
        """The newest report on fleet and queue."""
        return self._session.report

    @property
    def epoch(self) -> int:
        """The epoch that the broker granted, 0 until then."""
        return self._session.epoch

    def fresh_report(self, timeout_s: float) -> FleetReport | None:
        """Returns a report made after this call, or the newest one if none arrives in time."""
        with self._changed:
            seen = self._session.report_count
            self._session.request(0)
            self._loop.wake()

            def has_come() -> bool:
                return self._session.report_count > seen

            with self._loop.awaiting(has_come):
                self._changed.wait_for(has_come, timeout_s)
            return self._session.report

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
        session = self._session
        if self._waits is None:  # else the last one was given up: its reason was logged
            self._waits = SilenceWarnings([_BROKER], self._clock())

        def is_over() -> bool:
            return (
                condition()
                or session.refusal is not None
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
        if session.refusal is not None:
            raise session.refusal
        if self._loop.failure is not None:
            raise HeadraceError("the learner's thread ended") from self._loop.failure

    @property
    def _is_interrupted(self) -> bool:
        return self._interrupted or self._session.run_is_stopping

    def _explain_offer(self) -> None:
        if not self._session.is_joined:
            self._silence.log(self._describe_silence)
        else:
            _LOG.warning("waiting for the broker to take new weights")

    def _describe_silence(self) -> str:
        cause = diagnose(self._endpoint, LEARNER, has_keys=self._has_keys)
        port = "" if self._address == self._endpoint else f" (port for learners: {self._endpoint})"
        return f"waiting for a broker at {self._address}{port}: {cause}"

    def _explain_evaluation(self, episodes: int) -> None:
        report = self._session.report
        evaluators = report.evaluators if report is not None else 0
        _LOG.warning(
            "waiting for %d evaluation episodes, %d have arrived; %d actors evaluate%s",
            episodes,
            self._session.evaluated_episodes,
            evaluators,
            "" if evaluators else ": every Python actor does; start one",
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
