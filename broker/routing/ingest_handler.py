"""What actors say, and what they are answered."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from headrace.broker.routing.broker_state import BrokerBooks
from headrace.broker.routing.effects import PublishControl, StoreBatch
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.fleet import ActorRecord
from headrace.protocol.delivery import Outcome, Verdict
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages import (
    Alive,
    Goodbye,
    Hello,
    IngestMessage,
    Mark,
    Presence,
    Reject,
    Trajectories,
)
from headrace.protocol.messages.headers import Frame
from headrace.protocol.topics import delivery_topic
from headrace.protocol.trajectory import unpack_batch
from headrace.protocol.validation import find_batch_fault

_REMEMBERED_MARKS = 20_000


class ActorDesk:
    """Handles the ingest endpoint."""

    def __init__(self, books: BrokerBooks) -> None:
        self._books = books
        self._marks: dict[tuple[str, int], Mark] = {}
        self.accepts_batches = True
        self.rejects: Counter[RejectCode] = Counter()
        self.duplicates = 0

    def handle(self, message: IngestMessage, payloads: tuple[Frame, ...], now_s: float) -> None:
        """Handles one message.

        Raises:
            RemoteProtocolError: it is legal by itself but not from this actor now.
        """
        origin = (message.actor, message.incarnation)
        if self._books.fleet.has_ended(origin):
            if not isinstance(message, Goodbye):
                self.reject(origin, RejectCode.SUPERSEDED, "a later process uses this actor id")
            return
        match message:
            case Hello() | Alive():
                self._note_presence(message, now_s)
            case Trajectories():
                self._take_batch(message, payloads[0], now_s)
            case Goodbye():
                self._end(message)
            case _:
                assert_never(message)

    def reject(
        self, origin: tuple[str, int], code: RejectCode, reason: str, seq: int | None = None
    ) -> None:
        """Counts a reject, and tells the actor why."""
        self.rejects[code] += 1
        self._books.outbox.add(
            PublishControl(
                delivery_topic(origin[0]),
                Reject(incarnation=origin[1], code=code, reason=reason[:4000], seq=seq),
            )
        )
        record = self._books.fleet.find(origin)
        if record is not None:
            record.last_reject = reason

    def remember_mark(self, mark: Mark) -> None:
        """Notes what a learner took from an incarnation, for now or for when it says hello."""
        origin = (mark.actor, mark.incarnation)
        known = self._marks.pop(origin, None)
        if known is not None:
            mark = Mark(*origin, max(mark.ended, known.ended), mark.confirmed + known.confirmed)
        self._marks[origin] = mark
        if len(self._marks) > _REMEMBERED_MARKS:
            del self._marks[next(iter(self._marks))]
        record = self._books.fleet.find(origin)
        if record is not None:
            self._apply_mark(record)

    def _note_presence(self, presence: Presence, now_s: float) -> None:
        books = self._books
        origin = (presence.actor, presence.incarnation)
        record = books.fleet.current(origin)
        if record is None:
            record, former = books.fleet.admit(presence, now_s)
            if former is not None:
                books.leave_credit(former)
                books.outbox.note(f"actor {presence.actor} was superseded by a later process")
            if books.store is not None:
                record.receiver.take_stored(books.store.recovered_of(origin))
            books.outbox.note(
                f"actor {presence.actor} joined from {record.host or 'an old broker'}"
            )
        if presence.version is not None:
            books.note_version(record, presence.version, now_s)
        record.presence = presence
        record.last_seq = max(record.last_seq, presence.last_seq)
        record.last_heard_s = now_s
        ended = record.receiver.take_books(presence.acknowledged, presence.totals)
        self._forget(record, ended)
        self._apply_mark(record)
        if presence.version is not None:
            books.hear_version(presence.version, now_s)
        books.join_credit(record, now_s)
        books.send_snapshot_if_behind(presence, now_s)
        books.outbox.tell(origin)

    def _apply_mark(self, record: ActorRecord) -> None:
        mark = self._marks.pop(record.origin, None)
        if mark is None:
            return
        # More than an actor produced cannot have been taken from it.
        confirmed = [seq for seq in mark.confirmed if seq <= record.produced]
        ended = record.receiver.take_mark(min(mark.ended, record.produced), confirmed)
        self._forget(record, ended)
        self._books.outbox.tell(record.origin)
        self._books.fleet.close_if_finished(record)

    def _forget(self, record: ActorRecord, ended: list[int]) -> None:
        """Drops batches that ended elsewhere, and no longer waits for those that did."""
        self._books.remove_queued(record.origin, ended)
        if self._books.credit is not None:
            self._books.credit.caught_up(record.origin, record.receiver.accepted)

    def _take_batch(self, header: Trajectories, payload: Frame, now_s: float) -> None:
        books = self._books
        origin = (header.actor, header.incarnation)
        record = books.fleet.current(origin)
        if record is None:
            return  # the beacon makes it say hello again; it keeps the batch until then
        record.last_heard_s = now_s
        if header.seq > record.receiver.accepted and not self._may_arrive(record, header, payload):
            books.waiting[origin] = (header.env_steps, len(payload))
            books.outbox.tell(origin)
            return
        verdict = record.receiver.arrive(header.seq)
        if verdict is Verdict.GAP:
            if record.receiver.should_answer_gap():
                books.outbox.tell(origin, gap=True)
            return
        books.outbox.tell(origin)
        if verdict is Verdict.DUPLICATE:
            self.duplicates += 1
            return
        record.steps.add(header.env_steps, now_s)
        is_training = header.purpose == "train"
        if books.credit is not None:
            books.credit.arrived(origin, header.seq, header.env_steps if is_training else None)
            books.credit.caught_up(origin, record.receiver.accepted)
        try:
            self._check(header, payload)
        except RemoteProtocolError as error:
            record.finish(header.seq, Outcome.REJECTED)
            self.reject(origin, error.code, error.reason, header.seq)
            return
        if is_training:
            self._keep(header, payload)
        else:
            self._take_evaluated(record, header, payload)

    def _keep(self, header: Trajectories, payload: Frame) -> None:
        """Stores and queues a batch, unless a session has it already."""
        books = self._books
        attempt = books.sessions.attempt_of(((header.actor, header.incarnation), header.seq))
        batch = books.queue.number(header, payload, attempt)
        books.traffic.accepted_bytes += len(payload)
        if books.store is not None:
            books.store.add(batch)
            books.outbox.add(StoreBatch(batch))
        if not books.sessions.claim(batch):
            books.queue.append(batch)

    def _take_evaluated(self, record: ActorRecord, header: Trajectories, payload: Frame) -> None:
        session = self._books.evaluations.deliver(record.origin, header.task)
        if session is None:  # nobody waits for it any more
            record.finish(header.seq, Outcome.DROPPED)
        else:
            self._books.evaluated.append((session, QueuedBatch(0, header, payload)))

    @property
    def accepts_now(self) -> bool:
        """Whether there is anything to accept batches for, and nothing against it."""
        store = self._books.store
        has_store = store is None or store.accepts
        return self.accepts_batches and has_store and self._books.policy.published is not None

    def _may_arrive(self, record: ActorRecord, header: Trajectories, payload: Frame) -> bool:
        """Returns whether a batch may be accepted now; one that may not has to wait."""
        books = self._books
        if not self.accepts_now:
            return False
        if header.purpose == "evaluate":
            return True
        if not books.covers(record, header.seq):
            self.rejects[RejectCode.TOO_MUCH] += 1
            return False
        return books.queue.has_room_for(header.env_steps, len(payload))

    def _check(self, header: Trajectories, payload: Frame) -> None:
        published = self._books.policy.published
        if published is None or header.run != published.manifest.run:
            raise RemoteProtocolError(
                RejectCode.WRONG_RUN, f"run {header.run!r} is not what this broker serves now"
            )
        if header.purpose == "evaluate" and header.task is None:
            raise RemoteProtocolError(
                RejectCode.UNEXPECTED_PURPOSE, "a batch to evaluate has to name its task"
            )
        if not self._books.config.validates:
            return
        limits = self._books.config.limits
        batch = unpack_batch(payload, limits, compression=header.compression)
        fault = find_batch_fault(batch, published.manifest, header.env_steps)
        if fault is not None:
            raise RemoteProtocolError(RejectCode.INVALID_BATCH, fault)

    def _end(self, goodbye: Goodbye) -> None:
        record = self._books.fleet.current((goodbye.actor, goodbye.incarnation))
        if record is not None:
            record.last_seq = max(record.last_seq, goodbye.last_seq)
            self._books.leave_credit(record)
            self._books.fleet.end(goodbye.actor)
            self._books.outbox.note(f"actor {goodbye.actor} said goodbye")
