"""The state that both desks work on, and the steps that touch several parts of it."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.broker.config import RouterConfig
from headrace.broker.credit.control import CreditControl
from headrace.broker.routing.effects import ForgetBatch, PublishWeights, SendToLearner
from headrace.broker.routing.outbox import Outbox
from headrace.broker.state.assignments import Assignments
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.counters import Traffic
from headrace.broker.state.evaluations import Evaluations
from headrace.broker.state.fleet import ActorRecord, Fleet
from headrace.broker.state.learner_sessions import LearnerSession, LearnerSessions
from headrace.broker.state.policy_versions import PolicyDesk, Published
from headrace.broker.state.queue import TrajectoryQueue
from headrace.broker.state.snapshots import SnapshotDesk
from headrace.broker.state.stored_batches import StoredBatches
from headrace.protocol.delivery import Outcome
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.identity import Origin, PolicyVersion
from headrace.protocol.messages import Ledger, Mark, Presence, Snapshot, Weights, Welcome
from headrace.protocol.topics import snapshot_topic, weights_topic
from headrace.protocol.trajectory import unpack_batch
from headrace.protocol.validation import find_batch_fault

_BELIEVES_S = 60.0
"""How long after its start a broker believes what actors say to have begun under another one.

And how long it counts the learner sessions of another one that are not back.
"""


class BrokerBooks:
    """Fleet, queue, sessions, policy and credit of one broker incarnation."""

    def __init__(self, config: RouterConfig, incarnation: int, now_s: float) -> None:
        self.config = config
        self.started_at_s = now_s
        self.incarnation = incarnation
        self.outbox = Outbox()
        self.fleet = Fleet()
        self.queue = TrajectoryQueue(config.queue_env_steps, config.queue_bytes)
        self.sessions = LearnerSessions(config.session_timeout_s)
        self.policy = PolicyDesk(config.limits)
        self.snapshots = SnapshotDesk(config.snapshot_repeat_s)
        self.credit: CreditControl | None = None
        self.traffic = Traffic()
        self._announced_at_s = 0.0
        self.assignments = Assignments()
        self.evaluations = Evaluations()
        self.evaluated: list[tuple[int, QueuedBatch]] = []
        """Batches of evaluations that arrived in this round, with the sessions that want them."""
        self.store: StoredBatches | None = None
        """Where there is a journal."""
        self.waiting: dict[Origin, tuple[int, int]] = {}
        """Env steps and bytes of a batch that could not be accepted yet, longest wait first."""

    # ---------------------------------------------------------------- credit and the queue

    def join_credit(self, record: ActorRecord, now_s: float) -> None:
        """Lets a live actor take part in credit."""
        record.is_live = True
        if self.credit is not None:
            is_young = now_s - self.started_at_s < _BELIEVES_S
            begun = max(record.last_seq if is_young else 0, record.granted)
            self.credit.join(record.origin, begun, record.receiver.accepted)

    def covers(self, record: ActorRecord, seq: int) -> bool:
        """Returns whether an actor may have begun a batch with credit."""
        credit = self.credit
        return credit is None or seq <= record.granted or credit.covers(record.origin, seq)

    def leave_credit(self, record: ActorRecord) -> None:
        """Takes an actor that ended or fell silent out of credit."""
        record.is_live = False
        self.evaluations.leave(record.origin)
        if self.credit is not None:
            credit = self.credit.credit_of(record.origin)
            record.granted = credit.up_to if credit is not None else record.granted
            self.credit.leave(record.origin)

    def finish(self, batch: QueuedBatch, outcome: Outcome) -> None:
        """Ends a batch that was taken from the queue or from a session."""
        self.forget_stored(batch, outcome)
        self.finish_for_actor(batch, outcome)

    def finish_for_actor(self, batch: QueuedBatch, outcome: Outcome) -> None:
        """Ends a batch as far as its actor is concerned, and tells it."""
        record = self.fleet.find(batch.origin)
        if record is None or not record.receiver.is_open(batch.header.seq):
            return
        record.finish(batch.header.seq, outcome)
        self.fleet.close_if_finished(record)
        self.outbox.tell(batch.origin)

    def ended_up_to(self, origin: Origin) -> int:
        """Returns up to where all batches of an incarnation have ended, 0 if it is not known."""
        record = self.fleet.find(origin)
        acknowledged = record.receiver.acknowledged if record is not None else 0
        return self.store.ended_up_to(origin, acknowledged) if self.store else acknowledged

    def forget_stored(self, batch: QueuedBatch, outcome: Outcome) -> None:
        """Ends a batch in the journal, if there is one."""
        if self.store is not None:
            self.store.end(batch, outcome)
            self.outbox.add(ForgetBatch(batch.arrival))

    def end_confirmed(self, marks: Sequence[Mark]) -> None:
        """Ends what an earlier broker has stored and a learner has confirmed since."""
        if self.store is None:
            return
        known = {(mark.actor, mark.incarnation): mark for mark in marks}

        def is_meant(batch: QueuedBatch) -> bool:
            mark = known.get(batch.origin)
            seq = batch.header.seq
            return mark is not None and (seq <= mark.ended or seq in mark.confirmed)

        for batch in self.queue.remove_if(is_meant):
            self.finish(batch, Outcome.CONSUMED)

    def remove_queued(self, origin: Origin, seqs: list[int]) -> None:
        """Takes batches that have ended elsewhere out of the queue and the sessions."""
        if not seqs:
            return
        ended = set(seqs)

        def is_meant(batch: QueuedBatch) -> bool:
            return batch.origin == origin and batch.header.seq in ended

        removed = self.queue.remove_if(is_meant)
        for session in self.sessions:
            removed += session.remove_if(is_meant)
        for batch in removed:
            self.forget_stored(batch, Outcome.CONSUMED)

    def ledger(self) -> Ledger:
        """Returns the books of the whole fleet."""
        leased = sum(len(session.leases) for session in self.sessions)
        ledger = self.fleet.ledger(len(self.queue) + leased)
        return self.store.add_to(ledger) if self.store is not None else ledger

    def count_sessions(self, now_s: float) -> int:
        """Returns how many sessions the learner has, those that are not back included at first.

        Should this broker die, too, the next one has to know that they may have trained on what
        actors send again.
        """
        is_young = now_s - self.started_at_s < _BELIEVES_S
        return len(self.sessions) + (self.sessions.missing if is_young else 0)

    @property
    def evaluators(self) -> list[Origin]:
        """Live actors that run evaluation episodes."""
        return [r.origin for r in self.fleet if r.is_live and r.presence.evaluates]

    # ---------------------------------------------------------------- policy

    def welcome(self, session: LearnerSession) -> SendToLearner:
        """Returns the message that tells a session its epoch."""
        return SendToLearner(
            session.routing_id,
            Welcome(
                broker=self.incarnation, session=session.hello.session, epoch=self.policy.epoch
            ),
        )

    def hear_version(self, version: PolicyVersion, now_s: float) -> None:
        """Moves to an epoch above a version that an actor has, if that one is not ours.

        Raises:
            RemoteProtocolError: the epoch is beyond belief.
        """
        policy = self.policy
        if not policy.is_foreign(version):
            return
        policy.begin_epoch()
        for session in self.sessions:
            self.outbox.add(self.welcome(session))
        published = policy.republish(now_s)
        if published is not None:
            self.announce(published, is_new_policy=False, now_s=now_s)

    def announce(self, published: Published, *, is_new_policy: bool, now_s: float) -> None:
        """Sends a version to all actors, and begins the next update with it."""
        self._announced_at_s = now_s
        if self.credit is None:
            self.credit = CreditControl(published.manifest.flow)
        elif is_new_policy:
            self.credit.adopt(published.manifest.flow)
        self.credit.published(published.version, self.queue.env_steps, now_s)
        if is_new_policy:
            self._drop_what_no_longer_fits(published)
            for actor in self.snapshots.listening:
                self.send_snapshot(actor, now_s)
        else:
            self.traffic.published_bytes += len(published.weights_frame)
            self.outbox.add(
                PublishWeights(
                    weights_topic(published.manifest.run),
                    Weights(
                        run=published.manifest.run,
                        version=published.version,
                        policy_digest=published.digest,
                    ),
                    (published.weights_frame,),
                )
            )
        for record in self.fleet:
            if record.is_live:
                self.join_credit(record, now_s)
                self.outbox.tell(record.origin)

    def tell_fleet(self) -> None:
        """Asks for the delivery states of all live actors to be sent when the round ends."""
        for record in self.fleet:
            if record.is_live:
                self.outbox.tell(record.origin)

    def send_snapshot(self, actor: str, now_s: float) -> None:
        """Sends an actor that listens the newest snapshot, if there is one."""
        published = self.policy.published
        if published is None:
            return
        message = Snapshot(
            run=published.manifest.run, version=published.version, policy_digest=published.digest
        )
        payloads = (published.policy_frame, published.weights_frame)
        self.traffic.published_bytes += sum(map(len, payloads))
        self.outbox.add(PublishWeights(snapshot_topic(actor), message, payloads))
        self.snapshots.mark_sent(actor, now_s)

    def note_version(self, record: ActorRecord, version: PolicyVersion, now_s: float) -> None:
        """Notes, of an actor that says which version it has, when it got the newest."""
        published = self.policy.published
        is_newest = published is not None and version == published.version
        if is_newest and version != record.presence.version:
            self.traffic.fan_outs += 1
            self.traffic.fan_out_s += now_s - self._announced_at_s

    def send_snapshot_if_behind(self, presence: Presence, now_s: float) -> None:
        """Repeats the snapshot for an actor that should have got it by now."""
        published = self.policy.published
        if published is None:
            return
        settled = self.policy.settled_version(now_s)
        if self.snapshots.is_due(presence, published.digest, settled, now_s):
            self.send_snapshot(presence.actor, now_s)

    def _drop_what_no_longer_fits(self, published: Published) -> None:
        """Ends queued batches that the new manifest cannot use."""

        def is_unfit(batch: QueuedBatch) -> bool:
            if batch.header.run != published.manifest.run:
                return True
            try:
                trajectories = unpack_batch(
                    batch.payload, self.config.limits, compression=batch.header.compression
                )
            except RemoteProtocolError:
                return True
            fault = find_batch_fault(trajectories, published.manifest, batch.header.env_steps)
            return fault is not None

        for batch in self.queue.remove_if(is_unfit):
            self.finish(batch, Outcome.DROPPED)
