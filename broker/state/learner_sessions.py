"""Learner sessions: which actors' batches each takes, and which it has not confirmed."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from headrace.broker.state.batch import BatchKey, QueuedBatch
from headrace.protocol.identity import Origin
from headrace.protocol.messages import LearnerHello, LearnerProgress

_REMEMBERED_ORPHANS = 20_000


@dataclass
class SessionRecord:
    """One live session.

    Attributes:
        routing_id: the socket that its last message came from.
        lease_up_to_steps: env steps that it takes in total; cumulative.
        share: the part of the learner's data that it wants from this broker; None if it has no
            other broker.
        has_asked: whether it has asked for data since the newest version was published.
        leased_env_steps: env steps leased to it so far.
        leases: unconfirmed batches, by lease number.
        awaited: batches that it also holds but that have not arrived at this broker, with lease
            numbers.
        leased_bytes: of the unconfirmed batches.
        leased_by_origin: number of unconfirmed batches from each actor's incarnation.
    """

    hello: LearnerHello
    routing_id: bytes
    last_heard_s: float
    lease_up_to_steps: int = 0
    share: float | None = None
    has_asked: bool = False
    leased_env_steps: int = 0
    leased_bytes: int = 0
    last_lease: int = 0
    progress: LearnerProgress | None = None
    stopping: bool = False
    leases: OrderedDict[int, QueuedBatch] = field(default_factory=OrderedDict)
    awaited: dict[BatchKey, int] = field(default_factory=dict)
    leased_by_origin: Counter[Origin] = field(default_factory=Counter)

    @property
    def asked_steps(self) -> int:
        """Env steps that it asked for and was not leased."""
        return max(0, self.lease_up_to_steps - self.leased_env_steps)

    @property
    def takes_more(self) -> bool:
        """Whether it may be leased another batch."""
        return self.asked_steps > 0

    def ask(self, lease_up_to_steps: int, share: float | None) -> None:
        """Records what it asks for; what it asked of one of several brokers may be withdrawn."""
        self.share, self.has_asked = share, True
        if share is None:
            lease_up_to_steps = max(lease_up_to_steps, self.lease_up_to_steps)
        self.lease_up_to_steps = lease_up_to_steps

    def lease(self, batch: QueuedBatch) -> int:
        """Records a lease and returns its number."""
        self.last_lease += 1
        if batch.header.purpose == "train":
            self.leased_env_steps += batch.header.env_steps
        self._hold(self.last_lease, batch)
        return self.last_lease

    def resume(self, held: QueuedBatch | BatchKey | None) -> None:
        """Gives the next lease number to a batch that the process already holds.

        Args:
            held: the batch; its key, if it has not arrived here yet; or None, if it has ended or
                now belongs to another session.
        """
        self.last_lease += 1
        if isinstance(held, QueuedBatch):
            self._hold(self.last_lease, held)
        elif held is not None:
            self.awaited[held] = self.last_lease

    def claim(self, batch: QueuedBatch) -> bool:
        """Takes an arrived batch if it was awaited; returns whether it was."""
        number = self.awaited.pop(batch.key, None)
        if number is None:
            return False
        self._hold(number, batch)
        self.leases = OrderedDict(sorted(self.leases.items()))
        return True

    def confirm(self, up_to: int) -> tuple[list[QueuedBatch], list[BatchKey]]:
        """Removes and returns the leases up to a number, arrived and awaited."""
        confirmed: list[QueuedBatch] = []
        while self.leases and next(iter(self.leases)) <= up_to:
            confirmed.append(self.release(next(iter(self.leases))))
        awaited = [key for key, number in self.awaited.items() if number <= up_to]
        for key in awaited:
            del self.awaited[key]
        return confirmed, awaited

    def remove_if(self, is_meant: Callable[[QueuedBatch], bool]) -> list[QueuedBatch]:
        """Removes and returns the leases for which `is_meant` holds."""
        numbers = [number for number, batch in self.leases.items() if is_meant(batch)]
        return [self.release(number) for number in numbers]

    def _hold(self, number: int, batch: QueuedBatch) -> None:
        self.leases[number] = batch
        self.leased_bytes += len(batch.payload)
        if batch.header.purpose == "train":
            self.leased_by_origin[batch.origin] += 1

    def release(self, number: int) -> QueuedBatch:
        """Removes and returns an unconfirmed lease."""
        batch = self.leases.pop(number)
        self.leased_bytes -= len(batch.payload)
        if batch.header.purpose != "train":
            return batch
        self.leased_by_origin[batch.origin] -= 1
        if not self.leased_by_origin[batch.origin]:
            del self.leased_by_origin[batch.origin]
        return batch


class SessionRecords:
    """The live sessions of one learner run.

    Attributes:
        share: the part of the learner's data that is asked of this broker; None if it is the only
            one. It stays when sessions end: a learner that is cut off comes back to no more.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._by_id: dict[int, SessionRecord] = {}
        # Not yet arrived at this restarted broker, and the session that held them has ended.
        self._orphaned: dict[BatchKey, None] = {}
        self.share: float | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(list(self._by_id.values()))

    def get(self, session: int) -> SessionRecord | None:
        """Returns a live session."""
        return self._by_id.get(session)

    def open(self, session: SessionRecord) -> None:
        """Adds a session."""
        self._by_id[session.hello.session] = session

    def end(self, session: SessionRecord) -> list[QueuedBatch]:
        """Removes a session; returns its unconfirmed batches."""
        del self._by_id[session.hello.session]
        self._orphaned |= dict.fromkeys(session.awaited)
        while len(self._orphaned) > _REMEMBERED_ORPHANS:
            del self._orphaned[next(iter(self._orphaned))]
        return list(session.leases.values())

    def claim(self, batch: QueuedBatch) -> bool:
        """Gives an arrived batch to the session that already holds it; returns whether one does."""
        return any(session.claim(batch) for session in self._by_id.values() if session.awaited)

    def take_attempt(self, key: BatchKey) -> int:
        """Returns an arriving batch's attempt: 2 the first time if a session that held it ended."""
        if key not in self._orphaned:
            return 1
        del self._orphaned[key]
        return 2

    def ask(self, session: SessionRecord, lease_up_to_steps: int, share: float | None) -> None:
        """Records what a session asks for."""
        session.ask(lease_up_to_steps, share)
        asking = list(self._by_id.values())
        # A driver beside remote runners takes no data, and knows nothing of how it is delivered.
        taking = [session for session in asking if session.leased_env_steps] or asking
        shares = [session.share for session in taking if session.share is not None]
        self.share = sum(shares) / len(shares) if shares else None

    @property
    def leased_bytes(self) -> int:
        """Bytes of all unconfirmed batches."""
        return sum(session.leased_bytes for session in self._by_id.values())

    @property
    def asked_steps(self) -> int | None:
        """Env steps that are asked for and not leased; None until the newest version is trained."""
        asking = [session for session in self._by_id.values() if session.has_asked]
        return sum(session.asked_steps for session in asking) if asking else None

    def note_version(self) -> None:
        """Records that a version was published: what was asked for was for the one before."""
        for session in self._by_id.values():
            session.has_asked = False

    @property
    def are_complete(self) -> bool:
        """Whether all sessions are back that any of them knew of at an earlier broker."""
        known, back = self._known_and_back
        return 0 < known <= back

    @property
    def missing(self) -> int:
        """How many sessions of an earlier broker are not back, as reported by those that are."""
        known, back = self._known_and_back
        return max(0, known - back)

    @property
    def _known_and_back(self) -> tuple[int, int]:
        back = [session.hello for session in self._by_id.values() if session.hello.former]
        return max((hello.sessions for hello in back), default=0), len(back)

    def replaced_by(self, hello: LearnerHello) -> list[SessionRecord]:
        """Returns the sessions that `hello` would end: the same runner's, or another run's."""
        return [
            session
            for session in self._by_id.values()
            if (session.hello.learner_run != hello.learner_run)
            or (session.hello.purpose, session.hello.worker_index)
            == (hello.purpose, hello.worker_index)
        ]

    def overdue(self, now_s: float) -> list[SessionRecord]:
        """Returns the sessions that have been silent for too long."""
        return [
            session
            for session in self._by_id.values()
            if now_s - session.last_heard_s > self._timeout_s
        ]

    def taker_of(self, origin: Origin) -> SessionRecord | None:
        """Returns the session that an actor's next batch goes to; None if it has to wait.

        Among the sessions that want more, this is the one that holds unconfirmed batches of the
        actor, so that its episodes stay together; otherwise the one with the highest random weight
        (rendezvous hashing, Thaler and Ravishankar 1998), so that an actor mostly keeps its session
        while sessions come and go. A batch never waits for a session that has enough: runners that
        are sampled in lockstep would wait for one another.
        """
        takers = [session for session in self._by_id.values() if session.takes_more]
        for session in takers:
            if origin in session.leased_by_origin:
                return session
        return max(takers, key=lambda session: _weight(origin, session), default=None)


def _weight(origin: Origin, session: SessionRecord) -> bytes:
    key = f"{origin[0]} {origin[1]} {session.hello.session}".encode()
    return hashlib.blake2b(key, digest_size=8).digest()
