"""A learner's sessions with all of its brokers, as one pure state machine.

Feed it what the DEALER sockets receive, and send what `outgoing` returns. The brokers know nothing
of one another: the learner divides what it asks for, so that data is as fresh as with one broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from headrace.learner.connection.demand import Demand
from headrace.learner.connection.evaluation_division import NewTask
from headrace.learner.connection.known_broker import KnownBroker
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.merged_reports import merged_report
from headrace.learner.connection.session import LearnerIdentity, LearnerSession
from headrace.learner.connection.shared_evaluation import SharedEvaluation
from headrace.learner.connection.shares import FleetShares
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.errors import RefusedError
from headrace.protocol.messages import (
    Assignment,
    FleetReport,
    LearnerProgress,
)
from headrace.protocol.messages.headers import Frame


class BrokerSessions:
    """One session per broker; a broker that is gone is left out, and taken in again."""

    def __init__(
        self, identity: LearnerIdentity, brokers: int, new_session_id: Callable[[], int]
    ) -> None:
        self._brokers = [
            KnownBroker(LearnerSession(identity, new_session_id)) for _ in range(brokers)
        ]
        self._demand = Demand(brokers)
        self._shares = FleetShares(brokers)
        self._wanted_steps = 0
        self._ready: deque[int] = deque()
        self._taken: deque[tuple[int, LeasedBatch]] = deque()
        self._evaluation: SharedEvaluation | None = None
        self._changes: list[tuple[int, bool]] = []

    # ---------------------------------------------------------------- messages

    def on_message(self, broker: int, frames: Sequence[Frame], now_s: float) -> None:
        """Handles a message from a broker.

        Raises:
            RemoteProtocolError: the message is invalid; drop it and continue.
        """
        known = self._brokers[broker]
        session = known.session
        count, steps = len(session.batches), session.batches.ready_env_steps
        reports = session.report_count
        session.on_message(frames, now_s)
        known.note_contact(now_s)
        if len(session.batches) > count:
            self._note_leased(broker, session.batches.ready_env_steps - steps)
        if session.report_count > reports and session.report is not None:
            known.note_report(session.report.queue_env_steps)
        while session.evaluated:
            batch = session.evaluated.popleft()
            session.confirm(batch)
            if self._evaluation is not None:
                self._evaluation.take(batch)
        self._update(now_s)

    def outgoing(self, now_s: float) -> list[tuple[int, list[Frame]]]:
        """Returns, once, the messages that are due, each with its broker."""
        self._update(now_s)
        return [
            (number, frames)
            for number, broker in enumerate(self._brokers)
            for frames in broker.session.outgoing(now_s)
        ]

    def next_event_at_s(self) -> float:
        """Returns when something next becomes due by time alone."""
        return min(broker.session.next_event_at_s() for broker in self._brokers)

    def goodbyes(self) -> list[list[Frame]]:
        """Returns the message to each broker that ends its session."""
        return [broker.session.goodbye() for broker in self._brokers]

    def take_changes(self) -> list[tuple[int, bool]]:
        """Returns, once, which brokers have come (True) or gone (False)."""
        changes, self._changes = self._changes, []
        return changes

    # ---------------------------------------------------------------- training data

    @property
    def ready_env_steps(self) -> int:
        """Env steps of the batches that `take` would return."""
        return sum(session.batches.ready_env_steps for session in self._sessions)

    def request(self, env_steps: int, now_s: float) -> None:
        """Asks for leases until this many env steps are ready or in flight."""
        self._wanted_steps = env_steps
        self._demand.begin()
        self._update(now_s)

    def take(self) -> LeasedBatch | None:
        """Returns the next ready batch; once training has all of it, `confirm` it."""
        if not self._ready:
            return None
        broker = self._ready.popleft()
        batch = self._brokers[broker].session.batches.take()
        if batch is not None:
            self._wanted_steps = max(0, self._wanted_steps - batch.lease.env_steps)
            self._taken.append((broker, batch))
        return batch

    def confirm(self, batch: LeasedBatch) -> None:
        """Confirms the batches that `take` returned, up to this one."""
        if all(taken is not batch for _, taken in self._taken):
            return
        newest: dict[int, LeasedBatch] = {}
        taken: LeasedBatch | None = None
        while taken is not batch:
            broker, taken = self._taken.popleft()
            newest[broker] = taken
        for broker, last in newest.items():
            self._brokers[broker].session.confirm(last)

    # ---------------------------------------------------------------- evaluation

    def begin_evaluation(
        self, episodes: int, max_env_steps: int | None, new_task: NewTask, now_s: float
    ) -> None:
        """Asks for whole episodes, of all brokers together.

        Args:
            max_env_steps: episodes are truncated at this many; None for no limit.
            new_task: makes a name that no other request has.
        """
        brokers = len(self._brokers)
        self._evaluation = SharedEvaluation(episodes, max_env_steps, brokers, new_task)
        self._update(now_s)

    @property
    def evaluated_episodes(self) -> int:
        """How many evaluation episodes have arrived as a whole."""
        return self._evaluation.finished_episodes if self._evaluation is not None else 0

    def end_evaluation(self) -> list[LeasedBatch]:
        """Stops asking for episodes; returns what has arrived."""
        ended, self._evaluation = self._evaluation, None
        for session in self._sessions:
            session.evaluate(None)
        return ended.batches if ended is not None else []

    # ---------------------------------------------------------------- all brokers

    @property
    def is_joined(self) -> bool:
        """Whether any broker has welcomed its current session."""
        return any(session.is_joined for session in self._sessions)

    @property
    def absent(self) -> list[int]:
        """The brokers that have not welcomed their current session."""
        return [n for n, session in enumerate(self._sessions) if not session.is_joined]

    @property
    def epoch(self) -> int:
        """The epoch of the learner's versions, 0 until a broker has granted one."""
        return max(session.epoch for session in self._sessions)

    @property
    def refusal(self) -> tuple[int, RefusedError] | None:
        """A broker that will not serve this learner, and why."""
        for number, session in enumerate(self._sessions):
            if session.refusal is not None:
                return number, session.refusal
        return None

    @property
    def run_is_stopping(self) -> bool:
        """Whether a session of the run, at any broker, announced that it is stopping."""
        return any(session.run_is_stopping for session in self._sessions)

    @property
    def offer_is_settled(self) -> bool:
        """Whether the offered weights are published or superseded at all brokers but those gone."""
        live = [broker.session for broker in self._brokers if broker.is_live]
        return bool(live) and all(session.offer_is_settled for session in live)

    @property
    def report(self) -> FleetReport | None:
        """The newest reports of all brokers, as one; of those that are gone, only the books."""
        return merged_report([(broker.session.report, broker.is_live) for broker in self._brokers])

    @property
    def report_counts(self) -> list[int]:
        """How many reports have come from each broker."""
        return [session.report_count for session in self._sessions]

    def have_reported_since(self, counts: Sequence[int]) -> bool:
        """Returns whether all brokers that are not gone have sent a report since."""
        live = [
            broker.session.report_count > count
            for broker, count in zip(self._brokers, counts, strict=True)
            if broker.is_live
        ]
        return bool(live) and all(live)

    def hasten_reports(self) -> None:
        """Asks all brokers for reports."""
        for session in self._sessions:
            session.hasten()

    def report_progress(self, progress: LearnerProgress) -> None:
        """Reports training progress with the next pulls."""
        for session in self._sessions:
            session.progress = progress

    def assign(self, assignment: Assignment) -> None:
        """Sends all actors an assignment for their next episodes, through their brokers."""
        for session in self._sessions:
            session.assign(assignment)

    def stop(self) -> None:
        """Announces to all sessions of the run that it is stopping."""
        for session in self._sessions:
            session.stop()

    def offer(self, weights: OfferedWeights) -> None:
        """Offers weights to all brokers, under one number."""
        for session in self._sessions:
            session.offer(weights)

    # ---------------------------------------------------------------- inside

    def _note_leased(self, broker: int, env_steps: int) -> None:
        self._ready.append(broker)
        self._brokers[broker].note_leased(env_steps)
        self._demand.note_delivered(broker, env_steps)
        self._shares.note_delivered(broker, env_steps)

    @property
    def _sessions(self) -> list[LearnerSession]:
        return [broker.session for broker in self._brokers]

    def _update(self, now_s: float) -> None:
        """Divides anew what is asked for; call it after each change."""
        for number, broker in enumerate(self._brokers):
            if broker.look(now_s):
                self._changes.append((number, broker.is_live))
        shares = self._shares.of([broker.actors for broker in self._brokers])
        self._divide(shares)
        if self._evaluation is not None:
            self._evaluation.divide(self._brokers)
        if len(self._brokers) > 1:
            epoch = self.epoch
            for broker, share in zip(self._brokers, shares, strict=True):
                broker.session.share = share
                broker.session.raise_epoch(epoch)

    def _divide(self, shares: Sequence[float]) -> None:
        if any(broker.is_live for broker in self._brokers):
            for number, broker in enumerate(self._brokers):
                if not broker.is_live:
                    self._demand.release(number)
        self._demand.take_over([broker.ready_steps for broker in self._brokers])
        parts = self._demand.ask(max(0, self._wanted_steps - self.ready_env_steps), shares)
        if any(parts):
            self._shares.note_asked(parts)
        for broker, asked_steps in zip(self._brokers, self._demand.asked, strict=True):
            broker.ask(asked_steps)
