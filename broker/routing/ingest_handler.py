"""Messages of actors on the ingest endpoint."""

from __future__ import annotations

from typing import assert_never

from headrace.broker.routing.admission import Admission, Entry
from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import StoreBatch
from headrace.broker.routing.marks import Marks
from headrace.broker.routing.publishing import Publishing
from headrace.broker.routing.rejections import Rejections
from headrace.broker.state.actor_record import ActorRecord
from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.delivery import Outcome, Verdict
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages import (
    Alive,
    Goodbye,
    Hello,
    IngestMessage,
    Presence,
    Trajectories,
)
from headrace.protocol.messages.headers import Frame


class IngestHandler:
    """Handles presence and batches of actors."""

    def __init__(
        self,
        state: BrokerState,
        admission: Admission,
        publishing: Publishing,
        marks: Marks,
        rejections: Rejections,
    ) -> None:
        self._state = state
        self._admission = admission
        self._publishing = publishing
        self._marks = marks
        self._rejections = rejections

    def handle(self, message: IngestMessage, payloads: tuple[Frame, ...], now_s: float) -> None:
        """Handles one message.

        Raises:
            RemoteProtocolError: it is well-formed, but not valid from this actor now.
        """
        origin = (message.actor, message.incarnation)
        if self._state.fleet.has_ended(origin):
            if not isinstance(message, Goodbye):
                reason = "a later process uses this actor id"
                self._rejections.reject(origin, RejectCode.SUPERSEDED, reason)
            return
        match message:
            case Hello() | Alive():
                self._take_presence(message, now_s)
            case Trajectories():
                self._take_batch(message, payloads[0], now_s)
            case Goodbye():
                self._end(message)
            case _:
                assert_never(message)

    def end_silent(self, now_s: float) -> None:
        """Withdraws credit from silent actors, and forgets those that have died."""
        state = self._state
        timeout_s = state.presence.stretched(state.config.actor_timeout_s)
        forget_s = max(state.config.forget_s, timeout_s)
        for record in state.fleet:
            silent_s = now_s - record.last_heard_s
            if record.is_live and silent_s > timeout_s:
                self._admission.leave_credit(record)
                state.outbox.note(f"actor {record.origin[0]} is silent", is_warning=True)
            elif silent_s > forget_s:
                state.fleet.forget(record.origin[0])

    def _take_presence(self, presence: Presence, now_s: float) -> None:
        state = self._state
        origin = (presence.actor, presence.incarnation)
        record = state.fleet.current(origin) or self._join(presence, now_s)
        if presence.version is not None:
            self._publishing.note_version(record, presence.version, now_s)
        record.presence = presence
        record.last_seq = max(record.last_seq, presence.last_seq)
        record.last_heard_s = now_s
        self._marks.catch_up(record, presence)
        if presence.version is not None:
            self._publishing.rise_above(presence.version, now_s)
        self._admission.join_credit(record, now_s)
        self._publishing.send_snapshot_if_behind(presence, now_s)
        state.outbox.schedule_delivery(origin)

    def _join(self, presence: Presence, now_s: float) -> ActorRecord:
        state = self._state
        record, former = state.fleet.admit(presence, now_s)
        if former is not None:
            self._admission.leave_credit(former)
            state.outbox.note(f"actor {presence.actor} was superseded by a later process")
        if state.store is not None:
            record.receiver.note_stored(state.store.recovered_of(record.origin))
        state.outbox.note(f"actor {presence.actor} joined from {record.host or 'an old broker'}")
        return record

    def _take_batch(self, header: Trajectories, payload: Frame, now_s: float) -> None:
        state = self._state
        origin = (header.actor, header.incarnation)
        record = state.fleet.current(origin)
        if record is None:
            return  # the beacon makes it repeat its hello; it keeps the batch until then
        record.last_heard_s = now_s
        if header.seq > record.receiver.accepted:
            entry = self._admission.entry_of(record, header, payload)
            if entry is not Entry.ADMITTED:
                if entry is Entry.LACKS_CREDIT:
                    self._rejections.count(RejectCode.TOO_MUCH)
                state.waiting[origin] = (header.env_steps, len(payload))
                state.outbox.schedule_delivery(origin)
                return
        match record.receiver.arrive(header.seq):
            case Verdict.REPEATED_GAP:
                pass
            case Verdict.GAP:
                state.outbox.schedule_delivery(origin, gap=True)
            case Verdict.DUPLICATE:
                state.counters.duplicates += 1
                state.outbox.schedule_delivery(origin)
            case Verdict.ACCEPTED:
                state.outbox.schedule_delivery(origin)
                self._accept(record, header, payload, now_s)

    def _accept(
        self, record: ActorRecord, header: Trajectories, payload: Frame, now_s: float
    ) -> None:
        state = self._state
        record.steps.add(header.env_steps, now_s)
        state.steps.add(header.env_steps, now_s)
        is_training = header.purpose == "train"
        if state.credit is not None:
            env_steps = header.env_steps if is_training else None
            state.credit.arrived(record.origin, header.seq, env_steps, len(payload))
            state.credit.caught_up(record.origin, record.receiver.accepted)
        try:
            self._admission.check(header, payload)
        except RemoteProtocolError as error:
            record.finish(header.seq, Outcome.REJECTED)
            self._rejections.reject(record.origin, error.code, error.reason, header.seq)
            return
        if is_training:
            self._keep(header, payload)
        else:
            self._keep_evaluated(record, header, payload)

    def _keep(self, header: Trajectories, payload: Frame) -> None:
        """Stores a batch, and queues it unless a session already has it."""
        state = self._state
        attempt = state.sessions.take_attempt(((header.actor, header.incarnation), header.seq))
        batch = state.queue.number(header, payload, attempt)
        state.counters.accepted_bytes += len(payload)
        if state.store is not None:
            state.store.add(batch)
            state.outbox.add(StoreBatch(batch))
        if not state.sessions.claim(batch):
            state.queue.append(batch)

    def _keep_evaluated(self, record: ActorRecord, header: Trajectories, payload: Frame) -> None:
        is_whole = header.more is not True
        session = self._state.evaluations.deliver(record.origin, header.task, is_whole=is_whole)
        if session is None:  # no session wants it any more
            record.finish(header.seq, Outcome.DROPPED)
        else:
            self._state.evaluated.append((session, QueuedBatch(0, header, payload)))

    def _end(self, goodbye: Goodbye) -> None:
        record = self._state.fleet.current((goodbye.actor, goodbye.incarnation))
        if record is not None:
            record.last_seq = max(record.last_seq, goodbye.last_seq)
            self._admission.leave_credit(record)
            self._state.fleet.end(goodbye.actor)
            self._state.outbox.note(f"actor {goodbye.actor} said goodbye")
