"""The broker as a pure function of messages and time: frames in, effects out.

Nothing here opens a socket, reads a clock or raises because of what a peer sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.broker.access.permissions import Access, OpenAccess
from headrace.broker.access.policing import Conduct, Ruling
from headrace.broker.config import RouterConfig
from headrace.broker.routing.broker_state import BrokerBooks
from headrace.broker.routing.effects import Effect, PublishControl
from headrace.broker.routing.ingest_handler import ActorDesk
from headrace.broker.routing.learner_handler import LearnerDesk
from headrace.broker.routing.leasing import Leasing
from headrace.broker.routing.status import BrokerStatus, status_of
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.stored_batches import StoredBatches
from headrace.protocol.compression import unpacked_bytes
from headrace.protocol.delivery import Outcome
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages import Beacon, Delivery
from headrace.protocol.messages.headers import (
    Frame,
    from_learner_decoder,
    ingest_decoder,
    peek_sender,
    peek_session,
)
from headrace.protocol.topics import (
    BEACON,
    actor_of,
    delivery_topic,
    snapshot_topic,
)


class Router:
    """Routes between actors and learners. After any number of `on_…` calls, call `take_effects`."""

    def __init__(self, config: RouterConfig, incarnation: int, now_s: float) -> None:
        self._books = BrokerBooks(config, incarnation, now_s)
        self._actors = ActorDesk(self._books)
        self._learners = LearnerDesk(self._books, self._actors)
        self._leasing = Leasing(self._books, now_s)
        self._decode_ingest = ingest_decoder(config.limits).decode
        self._decode_learner = from_learner_decoder(config.limits).decode
        self._access: Access = OpenAccess()
        self._forbidden: set[str] = set()
        self._conduct = Conduct(config.conduct)
        self._beacon_due_s = now_s

    def keep_stored(self, recovered: Sequence[QueuedBatch], newest_arrival: int) -> None:
        """Has accepted batches stored from now on, and goes on with those of an earlier broker."""
        self._books.store = StoredBatches(recovered)
        self._books.queue.recover(recovered, newest_arrival)

    def on_stored(self, up_to_arrival: int) -> None:
        """Takes note that the disk has all batches up to this arrival."""
        books = self._books
        for batch in books.store.commit(up_to_arrival) if books.store is not None else ():
            books.finish_for_actor(batch, Outcome.STORED)

    def set_storage(self, *, accepts: bool) -> None:
        """Says whether the disk takes more."""
        store = self._books.store
        if store is None or store.accepts == accepts:
            return
        store.accepts = accepts
        for record in self._books.fleet:
            self._books.outbox.tell(record.origin)

    def set_access(self, access: Access) -> None:
        """Says who may do what from now on."""
        if access is not self._access:
            self._access = access
            self._forbidden.clear()

    def admits(self, name: str, topic: bytes, now_s: float) -> bool:
        """Returns whether a topic may be sent to a peer; notes if not.

        Args:
            name: what the peer was authenticated as, here and elsewhere; empty without keys.
        """
        if name and not self._conduct.may_subscribe(name, now_s):
            self._actors.rejects[RejectCode.TOO_MUCH] += 1
            self._strike(name, now_s)
            return False
        if self._access.may_subscribe(name, topic):
            return True
        self._forbid(name, "subscribed to what is another one's")
        return False

    def is_quarantined(self, name: str, now_s: float) -> bool:
        """Returns whether nothing of a peer is read now."""
        return bool(name) and self._conduct.is_quarantined(name, now_s)

    def on_ingest(self, frames: Sequence[Frame], now_s: float, name: str = "") -> None:
        """Takes a message that an actor pushed."""
        self._read_if_behaved(self._read_ingest, frames, now_s, name)

    def _read_ingest(self, frames: Sequence[Frame], now_s: float, name: str) -> None:
        try:
            message, payloads = self._decode_ingest(frames)
            if self._access.may_speak_for(name, message.actor):
                self._actors.handle(message, tuple(payloads), now_s)
            else:
                self._forbid(name, f"spoke for actor {message.actor}")
        except RemoteProtocolError as error:
            sender = peek_sender(frames[0]) if frames else None
            if sender is None or not self._access.may_speak_for(name, sender[0]):
                self._actors.rejects[error.code] += 1
            else:
                self._actors.reject(sender, error.code, error.reason)

    def on_learner(self, frames: Sequence[Frame], now_s: float, name: str = "") -> None:
        """Takes a message from a learner's socket; the first frame is the routing id."""
        self._read_if_behaved(self._read_learner, frames, now_s, name)

    def _read_learner(self, frames: Sequence[Frame], now_s: float, name: str) -> None:
        if not self._access.may_learn(name):
            self._forbid(name, "spoke as a learner")
            return
        routing_id = bytes(frames[0])
        try:
            message, payloads = self._decode_learner(frames[1:])
            self._learners.handle(routing_id, message, tuple(payloads), now_s)
        except RemoteProtocolError as error:
            session = peek_session(frames[1]) if len(frames) > 1 else None
            if session is None:
                self._actors.rejects[error.code] += 1
            else:
                self._learners.refuse(routing_id, session, error.code, error.reason)

    def on_control_subscription(self, topic: bytes, is_new: bool, now_s: float) -> None:
        """Takes a subscription of the control endpoint, or the end of one."""
        actor = actor_of(topic, delivery_topic)
        if actor is None or not is_new:
            return
        for record in self._books.fleet:
            if record.origin[0] == actor:
                self._books.outbox.tell(record.origin)

    def on_weights_subscription(self, topic: bytes, is_new: bool, now_s: float) -> None:
        """Takes a subscription of the weights endpoint; a joiner gets its snapshot."""
        actor = actor_of(topic, snapshot_topic)
        if actor is None:
            return
        if is_new:
            self._books.snapshots.subscribe(actor)
            self._books.send_snapshot(actor, now_s)
        else:
            self._books.snapshots.unsubscribe(actor)

    def tick(self, now_s: float) -> None:
        """Does what time alone asks for; call it at least every 100 ms."""
        for record in self._books.fleet:
            silent_s = now_s - record.last_heard_s
            if record.is_live and silent_s > self._books.config.actor_timeout_s:
                self._books.leave_credit(record)
                self._books.outbox.note(f"actor {record.origin[0]} is silent", is_warning=True)
            elif silent_s > self._books.config.forget_s:
                self._books.fleet.forget(record.origin[0])
        self._learners.end_overdue_sessions(now_s)
        if self._books.credit is not None:
            self._books.credit.expire(now_s)
        if now_s >= self._beacon_due_s:
            self._beacon_due_s = now_s + self._books.config.beacon_s
            published = self._books.policy.published
            self._books.outbox.add(
                PublishControl(
                    BEACON,
                    Beacon(
                        broker=self._books.incarnation,
                        run=published.manifest.run if published else None,
                        version=published.version if published else None,
                    ),
                )
            )

    def take_effects(self, now_s: float) -> list[Effect]:
        """Leases and grants what the last messages made possible; returns all effects, once."""
        books = self._books
        self._leasing.lease(now_s)
        if books.evaluations.has_open:
            for origin in books.evaluations.assign(books.evaluators):
                books.outbox.tell(origin)
        if books.credit is not None and self._actors.accepts_batches:
            for origin in books.credit.grant(books.queue.env_steps, now_s):
                books.outbox.tell(origin)
        self._wake_waiting()
        effects = books.outbox.take_effects()
        effects += self._deliveries()
        return effects

    def drain(self) -> None:
        """Accepts and grants nothing any more; what is queued may still be leased."""
        self._actors.accepts_batches = False

    @property
    def is_drained(self) -> bool:
        """Whether nothing is queued or leased, or all of it is in the journal."""
        if self._books.store is not None:
            return self._books.store.is_settled
        leased = any(session.leases for session in self._books.sessions)
        return not leased and not len(self._books.queue)

    def status(self, now_s: float) -> BrokerStatus:
        """Returns how everything stands, for a person."""
        uptime_s = now_s - self._books.started_at_s
        quarantined = self._conduct.quarantined(now_s)
        return status_of(self._books, self._actors, quarantined, uptime_s, now_s)

    def _read_if_behaved(
        self,
        read: Callable[[Sequence[Frame], float, str], None],
        frames: Sequence[Frame],
        now_s: float,
        name: str,
    ) -> None:
        """Reads a message of a peer that may send one, and holds rejects against it."""
        if not name:
            read(frames, now_s, name)
            return
        rejects = self._actors.rejects
        match self._conduct.judge(name, sum(map(unpacked_bytes, frames)), now_s):
            case Ruling.READ:
                before = rejects.total()
                read(frames, now_s, name)
                if rejects.total() > before:
                    self._strike(name, now_s)
            case Ruling.TOO_MUCH:
                rejects[RejectCode.TOO_MUCH] += 1
            case Ruling.QUARANTINED:
                rejects[RejectCode.QUARANTINED] += 1

    def _strike(self, name: str, now_s: float) -> None:
        """Holds something against a peer."""
        if self._conduct.strike(name, now_s):
            self._books.outbox.note(
                f"{name} is in quarantine: it has sent too much that could not be used",
                is_warning=True,
            )

    def _forbid(self, name: str, what: str) -> None:
        """Counts what a peer may not do, and tells the operator once of each."""
        self._actors.rejects[RejectCode.FORBIDDEN] += 1
        if name not in self._forbidden:
            self._forbidden.add(name)
            self._books.outbox.note(f"{name or 'a peer'} {what}, which it may not", is_warning=True)

    def _wake_waiting(self) -> None:
        """Asks for the batches that could not be accepted, once there is room again."""
        books = self._books
        if not self._actors.accepts_now:
            return
        steps = size_bytes = 0
        for origin, (env_steps, payload_bytes) in list(books.waiting.items()):
            record = books.fleet.find(origin)
            if record is not None and not books.covers(record, record.receiver.accepted + 1):
                continue
            steps += env_steps
            size_bytes += payload_bytes
            if not books.queue.has_room_for(steps, size_bytes):
                return
            del books.waiting[origin]
            books.outbox.tell(origin, gap=True)

    def _deliveries(self) -> list[Effect]:
        books = self._books
        deliveries: list[Effect] = []
        accepts = self._actors.accepts_now
        for origin, gap in books.outbox.take_told().items():
            record = books.fleet.find(origin)
            if record is None:
                continue
            receiver = record.receiver
            deliveries.append(
                PublishControl(
                    delivery_topic(origin[0]),
                    Delivery(
                        broker=books.incarnation,
                        incarnation=origin[1],
                        accepted=receiver.accepted,
                        acknowledged=receiver.acknowledged,
                        totals=receiver.totals,
                        credit=books.credit.credit_of(origin) if books.credit else None,
                        gap=gap,
                        accepts=accepts and origin not in books.waiting,
                        task=books.evaluations.task_of(origin),
                        assignment=books.assignments.current,
                    ),
                )
            )
        return deliveries
