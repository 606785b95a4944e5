"""Learner sessions: who takes which actor's batches, and what each holds unconfirmed."""

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
class LearnerSession:
    """One living session.

    Attributes:
        routing_id: the socket that spoke for it last.
        lease_up_to_steps: env steps that it takes in all; cumulative.
        leased_env_steps: env steps that it was leased so far.
        leases: what it has not confirmed, by lease number.
        awaited: what it holds too, but has not arrived at this broker, with lease numbers.
        leased_by_origin: how many of these came from each actor's incarnation.
    """

    hello: LearnerHello
    routing_id: bytes
    last_heard_s: float
    lease_up_to_steps: int = 0
    leased_env_steps: int = 0
    last_lease: int = 0
    progress: LearnerProgress | None = None
    stopping: bool = False
    leases: OrderedDict[int, QueuedBatch] = field(default_factory=OrderedDict)
    awaited: dict[BatchKey, int] = field(default_factory=dict)
    leased_by_origin: Counter[Origin] = field(default_factory=Counter)

    @property
    def takes_more(self) -> bool:
        """Whether it may be leased another batch."""
        return self.leased_env_steps < self.lease_up_to_steps

    def lease(self, batch: QueuedBatch) -> int:
        """Notes a lease, and returns its number."""
        self.last_lease += 1
        if batch.header.purpose == "train":
            self.leased_env_steps += batch.header.env_steps
        self._hold(self.last_lease, batch)
        return self.last_lease

    def go_on(self, held: QueuedBatch | BatchKey | None) -> None:
        """Gives the next lease number to what its process holds already.

        That is a batch; or the name of one that is still to arrive here; or None for one that has
        ended, or is another session's by now.
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
        """Takes out, and returns, the leases up to a number, arrived and awaited."""
        confirmed: list[QueuedBatch] = []
        while self.leases and next(iter(self.leases)) <= up_to:
            confirmed.append(self.release(next(iter(self.leases))))
        awaited = [key for key, number in self.awaited.items() if number <= up_to]
        for key in awaited:
            del self.awaited[key]
        return confirmed, awaited

    def remove_if(self, is_meant: Callable[[QueuedBatch], bool]) -> list[QueuedBatch]:
        """Takes out, and returns, the leases for which `is_meant`."""
        numbers = [number for number, batch in self.leases.items() if is_meant(batch)]
        return [self.release(number) for number in numbers]

    def _hold(self, number: int, batch: QueuedBatch) -> None:
        self.leases[number] = batch
        if batch.header.purpose == "train":
            self.leased_by_origin[batch.origin] += 1

    def release(self, number: int) -> QueuedBatch:
        """Takes out, and returns, an unconfirmed lease."""
        batch = self.leases.pop(number)
        if batch.header.purpose != "train":
            return batch
        self.leased_by_origin[batch.origin] -= 1
        if not self.leased_by_origin[batch.origin]:
            del self.leased_by_origin[batch.origin]
        return batch


class LearnerSessions:
    """The living sessions of one learner run."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._by_id: dict[int, LearnerSession] = {}
        # A restarted broker has not got these yet, and the session that held them has ended.
        self._orphaned: dict[BatchKey, None] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LearnerSession]:
        return iter(list(self._by_id.values()))

    def get(self, session: int) -> LearnerSession | None:
        """Returns a living session."""
        return self._by_id.get(session)

    def open(self, session: LearnerSession) -> None:
        """Adds a session."""
        self._by_id[session.hello.session] = session

    def end(self, session: LearnerSession) -> list[QueuedBatch]:
        """Removes a session; returns what it leaves unconfirmed."""
        del self._by_id[session.hello.session]
        self._orphaned |= dict.fromkeys(session.awaited)
        while len(self._orphaned) > _REMEMBERED_ORPHANS:
            del self._orphaned[next(iter(self._orphaned))]
        return list(session.leases.values())

    def claim(self, batch: QueuedBatch) -> bool:
        """Gives an arrived batch to the session that holds it already; returns if there is one."""
        return any(session.claim(batch) for session in self._by_id.values() if session.awaited)

    def attempt_of(self, key: BatchKey) -> int:
        """Returns the attempt of an arriving batch: 2 if a session that held it has ended."""
        if key not in self._orphaned:
            return 1
        del self._orphaned[key]
        return 2

    @property
    def are_complete(self) -> bool:
        """Whether as many are back from an earlier broker as any of them knew there."""
        known, back = self._known_and_back
        return 0 < known <= back

    @property
    def missing(self) -> int:
        """How many an earlier broker had, as those who are back tell, that are not back."""
        known, back = self._known_and_back
        return max(0, known - back)

    @property
    def _known_and_back(self) -> tuple[int, int]:
        back = [session.hello for session in self._by_id.values() if session.hello.former]
        return max((hello.sessions for hello in back), default=0), len(back)

    def replaced_by(self, hello: LearnerHello) -> list[LearnerSession]:
        """Returns the sessions that `hello` would end: the same runner's, or another run's."""
        return [
            session
            for session in self._by_id.values()
            if (session.hello.learner_run != hello.learner_run)
            or (session.hello.purpose, session.hello.worker_index)
            == (hello.purpose, hello.worker_index)
        ]

    def overdue(self, now_s: float) -> list[LearnerSession]:
        """Returns the sessions that were silent for too long."""
        return [
            session
            for session in self._by_id.values()
            if now_s - session.last_heard_s > self._timeout_s
        ]

    def taker_of(self, origin: Origin) -> LearnerSession | None:
        """Returns the session that the next batch of an actor goes to, None if it has to wait.

        Of those that take more, the one that holds unconfirmed batches of the actor, so that its
        episodes stay together; otherwise the one with the highest random weight (rendezvous
        hashing, Thaler and Ravishankar 1998), so that an actor mostly keeps its session while
        sessions come and go. Nobody waits for a session that has enough: runners that are sampled
        in step would wait for one another.
        """
        takers = [session for session in self._by_id.values() if session.takes_more]
        for session in takers:
            if origin in session.leased_by_origin:
                return session
        return max(takers, key=lambda session: _weight(origin, session), default=None)


def _weight(origin: Origin, session: LearnerSession) -> bytes:
    key = f"{origin[0]} {origin[1]} {session.hello.session}".encode()
    return hashlib.blake2b(key, digest_size=8).digest()
