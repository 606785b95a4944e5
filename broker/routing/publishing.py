"""Publishing of policy versions to the fleet: weights, snapshots, epochs."""

from __future__ import annotations

from headrace.broker.credit.control import CreditControl
from headrace.broker.routing.admission import Admission
from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import PublishWeights, SendToLearner
from headrace.broker.routing.settlement import Settlement
from headrace.broker.state.actor_record import ActorRecord
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.learner_sessions import SessionRecord
from headrace.broker.state.policy_versions import Published
from headrace.broker.state.snapshots import is_current
from headrace.protocol.delivery import Outcome
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Presence, Snapshot, Weights, Welcome
from headrace.protocol.topics import snapshot_topic, weights_topic
from headrace.protocol.trajectory import unpack_batch
from headrace.protocol.validation import find_batch_fault


class Publishing:
    """Sends versions to actors, and epochs to learner sessions."""

    def __init__(self, state: BrokerState, admission: Admission, settlement: Settlement) -> None:
        self._state = state
        self._admission = admission
        self._settlement = settlement
        self._published_at_s = 0.0

    def welcome(self, session: SessionRecord) -> None:
        """Sends a session its epoch."""
        message = Welcome(
            broker=self._state.incarnation,
            session=session.hello.session,
            epoch=self._state.policy.epoch,
            max_payload_bytes=self._state.config.limits.max_payload_bytes,
        )
        self._state.outbox.add(SendToLearner(session.routing_id, message))

    def welcome_all(self) -> None:
        """Sends all sessions the present epoch."""
        for session in self._state.sessions:
            self.welcome(session)

    def begin_epoch(self) -> None:
        """Moves to an epoch above every known one, and sends it to all sessions."""
        self._state.policy.begin_epoch()
        self.welcome_all()

    def publish(self, published: Published, *, is_new_policy: bool, now_s: float) -> None:
        """Sends a version to all actors and starts the next update."""
        state = self._state
        self._published_at_s = now_s
        if state.credit is None:
            state.credit = CreditControl(published.manifest, state.config.max_held_bytes)
        elif is_new_policy:
            state.credit.adopt(published.manifest)
        state.sessions.note_version()
        state.credit.window.divide(state.sessions.share, state.sessions.asked_steps)
        state.credit.published(published.version, state.queue.env_steps, now_s)
        if is_new_policy:
            self._drop_unfit(published)
            for actor in state.snapshots.listening:
                self.send_snapshot(actor, now_s)
        else:
            self._send_weights(published)
        for record in state.fleet:
            if record.is_live:
                self._admission.join_credit(record, now_s)
                state.outbox.schedule_delivery(record.origin)

    def send_snapshot(self, actor: str, now_s: float) -> None:
        """Sends the newest snapshot, if there is one, to a subscribed actor."""
        published = self._state.policy.published
        if published is None:
            return
        message = Snapshot(
            run=published.manifest.run, version=published.version, policy_digest=published.digest
        )
        payloads = (published.policy_frame, published.weights_frame)
        self._state.counters.published_bytes += sum(map(len, payloads))
        self._state.outbox.add(PublishWeights(snapshot_topic(actor), message, payloads))
        self._state.snapshots.mark_sent(actor, now_s)

    def send_snapshot_if_behind(self, presence: Presence, now_s: float) -> None:
        """Repeats the snapshot for an actor that should have received it by now."""
        published = self._state.policy.published
        if published is None:
            return
        snapshots = self._state.snapshots
        settled = self._state.policy.settled_version(now_s)
        if is_current(presence, published.digest, settled):
            snapshots.mark_current(presence.actor)
        elif snapshots.is_due(presence.actor, now_s):
            self.send_snapshot(presence.actor, now_s)

    def note_version(self, record: ActorRecord, version: PolicyVersion, now_s: float) -> None:
        """Measures how long the newest version took to reach an actor that now reports it."""
        published = self._state.policy.published
        is_newest = published is not None and version == published.version
        if is_newest and version != record.presence.version:
            self._state.counters.fan_outs += 1
            self._state.counters.fan_out_s += now_s - self._published_at_s

    def rise_above(self, version: PolicyVersion, now_s: float) -> None:
        """Begins an epoch above an actor's version, if neither we nor this learner published it.

        Raises:
            RemoteProtocolError: the epoch is implausibly high.
        """
        self._state.policy.note_epoch(version.epoch)
        if not self._state.policy.is_foreign(version):
            return
        self.begin_epoch()
        published = self._state.policy.republish(now_s)
        if published is not None:
            self.publish(published, is_new_policy=False, now_s=now_s)

    def _send_weights(self, published: Published) -> None:
        run = published.manifest.run
        message = Weights(run=run, version=published.version, policy_digest=published.digest)
        self._state.counters.published_bytes += len(published.weights_frame)
        self._state.outbox.add(
            PublishWeights(weights_topic(run), message, (published.weights_frame,))
        )

    def _drop_unfit(self, published: Published) -> None:
        """Ends queued batches that the new manifest cannot use."""

        def is_unfit(batch: QueuedBatch) -> bool:
            header = batch.header
            if header.run != published.manifest.run:
                return True
            limits = self._state.config.limits
            try:
                trajectories = unpack_batch(batch.payload, limits, compression=header.compression)
            except RemoteProtocolError:
                return True
            return find_batch_fault(trajectories, published.manifest, header.env_steps) is not None

        for batch in self._state.queue.remove_if(is_unfit):
            self._settlement.finish(batch, Outcome.DROPPED)
