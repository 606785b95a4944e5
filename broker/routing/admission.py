"""Admission of batches: credit, room in the queue, storage, and the manifest's requirements."""

from __future__ import annotations

from enum import Enum, auto

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.state.actor_record import ActorRecord
from headrace.broker.state.policy_versions import Published
from headrace.protocol.batch_layouts import BatchLayouts
from headrace.protocol.compression import decompress
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame
from headrace.protocol.trajectory import unpack_batch
from headrace.protocol.validation import find_batch_fault


class Entry(Enum):
    """Whether an arriving batch may be accepted."""

    ADMITTED = auto()
    WAITS = auto()
    """Until there is room or a policy, or the disk accepts more."""
    LACKS_CREDIT = auto()
    """It waits until its actor is granted credit for it."""


class Admission:
    """Decides which batches are accepted, and which actors take part in credit.

    Attributes:
        is_open: False once the broker is draining, when no batch is accepted.
    """

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._layouts_digest = ""
        self._layouts: BatchLayouts
        self.is_open = True

    @property
    def accepts_now(self) -> bool:
        """Whether batches can be accepted: a policy is published, and the disk keeps up."""
        store = self._state.store
        has_store = store is None or store.accepts
        return self.is_open and has_store and self._state.policy.published is not None

    def entry_of(self, record: ActorRecord, header: Trajectories, payload: Frame) -> Entry:
        """Returns whether an actor's next batch may be accepted now."""
        if not self.accepts_now:
            return Entry.WAITS
        if header.purpose == "evaluate":
            return Entry.ADMITTED
        if not self._covers(record, header.seq):
            return Entry.LACKS_CREDIT
        has_room = self._has_room_for(header.env_steps, len(payload))
        return Entry.ADMITTED if has_room else Entry.WAITS

    def _has_room_for(self, env_steps: int, size_bytes: int) -> bool:
        state = self._state
        return state.queue.has_room_for(env_steps, size_bytes, state.sessions.leased_bytes)

    def check(self, header: Trajectories, payload: Frame) -> None:
        """Checks an accepted batch against the manifest.

        Raises:
            RemoteProtocolError: the learner could not use it.
        """
        published = self._state.policy.published
        if published is None or header.run != published.manifest.run:
            raise RemoteProtocolError(
                RejectCode.WRONG_RUN, f"run {header.run!r} is not the one this broker serves"
            )
        if header.purpose == "evaluate" and header.task is None:
            raise RemoteProtocolError(
                RejectCode.UNEXPECTED_PURPOSE, "an evaluation batch must name its task"
            )
        config = self._state.config
        if not config.validates:
            return
        plain = decompress(header.compression, payload, config.limits)
        layouts = self._layouts_of(published)
        if layouts.accepts(plain, header.env_steps):
            return
        batch = unpack_batch(plain, config.limits)
        fault = find_batch_fault(batch, published.manifest, header.env_steps)
        if fault is not None:
            raise RemoteProtocolError(RejectCode.INVALID_BATCH, fault)
        layouts.learn(plain, batch)

    def _layouts_of(self, published: Published) -> BatchLayouts:
        if published.digest != self._layouts_digest:
            self._layouts_digest = published.digest
            self._layouts = BatchLayouts(published.manifest)
        return self._layouts

    def join_credit(self, record: ActorRecord, now_s: float) -> None:
        """Includes a live actor in credit."""
        record.is_live = True
        self._state.fleet.touch(record)
        credit = self._state.credit
        if credit is not None:
            # While young, trust what it reports having begun under an earlier broker.
            begun = record.last_seq if self._state.is_young(now_s) else 0
            credit.join(record.origin, max(begun, record.granted), record.receiver.accepted)

    def leave_credit(self, record: ActorRecord) -> None:
        """Excludes an actor that ended or fell silent from credit and evaluations."""
        record.is_live = False
        self._state.fleet.touch(record)
        self._state.evaluations.leave(record.origin)
        credit = self._state.credit
        if credit is not None:
            granted = credit.credit_of(record.origin)
            record.granted = granted.up_to if granted is not None else record.granted
            credit.leave(record.origin)

    def ask_for_waiting(self) -> None:
        """Requests batches that could not be accepted before, as far as there is room now."""
        state = self._state
        if not self.accepts_now:
            return
        steps = size_bytes = 0
        for origin, (env_steps, payload_bytes) in list(state.waiting.items()):
            record = state.fleet.find(origin)
            if record is not None and not self._covers(record, record.receiver.accepted + 1):
                continue
            steps += env_steps
            size_bytes += payload_bytes
            if not self._has_room_for(steps, size_bytes):
                return
            del state.waiting[origin]
            state.outbox.schedule_delivery(origin, gap=True)

    def _covers(self, record: ActorRecord, seq: int) -> bool:
        """Returns whether an actor may have begun a batch with credit."""
        credit = self._state.credit
        return credit is None or seq <= record.granted or credit.covers(record.origin, seq)
