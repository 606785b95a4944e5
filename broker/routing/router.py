"""The broker as a pure function of messages and time: frames in, effects out.

Nothing here opens a socket, reads a clock, or raises because of a peer's message.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.broker.access.permissions import Permissions
from headrace.broker.config import RouterConfig
from headrace.broker.routing.actor_status import ActorSnapshot, snapshot_of
from headrace.broker.routing.admission import Admission
from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.deliveries import Deliveries
from headrace.broker.routing.effects import Effect
from headrace.broker.routing.ingest_handler import IngestHandler
from headrace.broker.routing.learner_handler import LearnerHandler
from headrace.broker.routing.leasing import Leasing
from headrace.broker.routing.marks import Marks
from headrace.broker.routing.offers import Offers
from headrace.broker.routing.peer_guard import PeerGuard
from headrace.broker.routing.publishing import Publishing
from headrace.broker.routing.rejections import Rejections
from headrace.broker.routing.settlement import Settlement
from headrace.broker.routing.status import BrokerStatus, status_of
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.stored_batches import StoredBatches
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.messages.headers import (
    Frame,
    from_learner_decoder,
    ingest_decoder,
    peek_sender,
    peek_session,
)
from headrace.protocol.topics import actor_of, delivery_topic, snapshot_topic

_LOOK_AT_ACTORS_S = 0.2
"""Looking takes a time that grows with the number of actors."""


class Router:
    """Routes between actors and learners. After any number of `on_…` calls, call `take_effects`.

    `name` is what a peer was authenticated as; it is empty without keys.
    """

    def __init__(self, config: RouterConfig, incarnation: int, now_s: float) -> None:
        self._state = state = BrokerState(config, incarnation, now_s)
        self._rejections = rejections = Rejections(state)
        self._settlement = settlement = Settlement(state)
        self._admission = admission = Admission(state)
        self._publishing = publishing = Publishing(state, admission, settlement)
        self._guard = PeerGuard(state, rejections, config.policing)
        marks = Marks(state, settlement)
        offers = Offers(state, publishing, rejections)
        self._actors = IngestHandler(state, admission, publishing, marks, rejections)
        self._learners = LearnerHandler(state, settlement, publishing, offers, marks, rejections)
        self._leasing = Leasing(state, settlement, now_s)
        self._deliveries = Deliveries(state, admission, now_s)
        self._look_at_actors_at_s = now_s
        self._decode_ingest = ingest_decoder(config.limits).decode
        self._decode_learner = from_learner_decoder(config.limits).decode

    # ---------------------------------------------------------------- storage and peers

    def keep_stored(self, recovered: Sequence[QueuedBatch], newest_arrival: int) -> None:
        """Enables storage of accepted batches, and queues those that an earlier broker stored."""
        self._state.store = StoredBatches(recovered)
        self._state.queue.recover(recovered, newest_arrival)

    def on_stored(self, up_to_arrival: int) -> None:
        """Records that all batches up to this arrival are on disk."""
        self._settlement.finish_stored(up_to_arrival)

    def set_storage(self, *, accepts: bool) -> None:
        """Records whether the disk accepts more."""
        store = self._state.store
        if store is None or store.accepts == accepts:
            return
        store.accepts = accepts
        for record in self._state.fleet:
            self._state.outbox.schedule_delivery(record.origin)

    def set_permissions(self, permissions: Permissions) -> None:
        """Replaces the permissions."""
        self._guard.set_permissions(permissions)

    def admit_subscription(self, name: str, topic: bytes, now_s: float) -> bool:
        """Counts a subscription against its peer; returns whether it is allowed."""
        return self._guard.admit_subscription(name, topic, now_s)

    def is_quarantined(self, name: str, now_s: float) -> bool:
        """Returns whether a peer is in quarantine."""
        return self._guard.is_quarantined(name, now_s)

    # ---------------------------------------------------------------- messages

    def on_ingest(self, frames: Sequence[Frame], now_s: float, name: str = "") -> None:
        """Handles a message that an actor pushed."""
        self._guard.admit_message(name, frames, now_s, self._read_ingest)

    def _read_ingest(self, frames: Sequence[Frame], now_s: float, name: str) -> None:
        permissions = self._guard.permissions
        try:
            message, payloads = self._decode_ingest(frames)
            if permissions.may_speak_for(name, message.actor):
                self._actors.handle(message, tuple(payloads), now_s)
            else:
                self._guard.deny(name, f"spoke for actor {message.actor}")
        except RemoteProtocolError as error:
            sender = peek_sender(frames[0]) if frames else None
            if sender is None or not permissions.may_speak_for(name, sender[0]):
                self._rejections.count(error.code)
            else:
                self._rejections.reject(sender, error.code, error.reason)

    def on_learner(self, frames: Sequence[Frame], now_s: float, name: str = "") -> None:
        """Handles a message from a learner's socket; the first frame is the routing id."""
        self._guard.admit_message(name, frames, now_s, self._read_learner)

    def _read_learner(self, frames: Sequence[Frame], now_s: float, name: str) -> None:
        if not self._guard.permissions.may_learn(name):
            self._guard.deny(name, "spoke as a learner")
            return
        routing_id = bytes(frames[0])
        try:
            message, payloads = self._decode_learner(frames[1:])
            self._learners.handle(routing_id, message, tuple(payloads), now_s)
        except RemoteProtocolError as error:
            session = peek_session(frames[1]) if len(frames) > 1 else None
            if session is None:
                self._rejections.count(error.code)
            else:
                self._rejections.refuse(routing_id, session, error.code, error.reason)

    def on_control_subscription(self, topic: bytes, is_new: bool, now_s: float) -> None:
        """Handles a subscription or unsubscription on the control endpoint."""
        actor = actor_of(topic, delivery_topic)
        if actor is None or not is_new:
            return
        record = self._state.fleet.named(actor)
        if record is not None:
            self._state.outbox.schedule_delivery(record.origin)

    def on_weights_subscription(self, topic: bytes, is_new: bool, now_s: float) -> None:
        """Handles a subscription or unsubscription on the weights endpoint.

        A new subscriber gets its snapshot.
        """
        actor = actor_of(topic, snapshot_topic)
        if actor is None:
            return
        if is_new:
            self._state.snapshots.subscribe(actor)
            self._publishing.send_snapshot(actor, now_s)
        else:
            self._state.snapshots.unsubscribe(actor)

    # ---------------------------------------------------------------- time and effects

    def tick(self, now_s: float) -> None:
        """Handles timeouts and sends the beacon; call it at least every 100 ms."""
        self._learners.end_overdue(now_s)
        if now_s >= self._look_at_actors_at_s:
            self._look_at_actors_at_s = now_s + _LOOK_AT_ACTORS_S
            self._actors.end_silent(now_s)
            if self._state.credit is not None:
                self._state.credit.expire(now_s)
        self._deliveries.send_beacon_if_due(now_s)

    def take_effects(self, now_s: float) -> list[Effect]:
        """Leases and grants what the last messages allow; returns and clears all effects."""
        state = self._state
        self._leasing.lease(now_s)
        if state.evaluations.has_open:
            for origin in state.evaluations.assign(state.evaluators):
                state.outbox.schedule_delivery(origin)
        if state.credit is not None and self._admission.is_open:
            state.credit.window.divide(state.sessions.share, state.sessions.asked_steps)
            for origin in state.credit.grant(state.queue.env_steps, state.held_bytes, now_s):
                state.outbox.schedule_delivery(origin)
        self._admission.ask_for_waiting()
        return [*state.outbox.take_effects(), *self._deliveries.take_scheduled()]

    def drain(self) -> None:
        """Stops accepting batches and granting credit; queued batches may still be leased."""
        self._admission.is_open = False

    @property
    def is_drained(self) -> bool:
        """Whether nothing is queued or leased, or all of it is in the journal."""
        if self._state.store is not None:
            return self._state.store.is_settled
        leased = any(session.leases for session in self._state.sessions)
        return not leased and not len(self._state.queue)

    # ---------------------------------------------------------------- status

    def status(self, now_s: float) -> BrokerStatus:
        """Returns the broker's status without its actors."""
        ledger = self._settlement.ledger()
        return status_of(self._state, ledger, self._guard.quarantined(now_s), now_s)

    @property
    def actors(self) -> list[str]:
        """The ids of all actors."""
        return self._state.fleet.actors

    def snapshots_of(self, actors: Sequence[str], now_s: float) -> list[ActorSnapshot]:
        """Returns copies of what is known of some actors; leaves out those that have gone."""
        records = map(self._state.fleet.named, actors)
        return [snapshot_of(self._state, record, now_s) for record in records if record is not None]
