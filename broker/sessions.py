"""Learner sessions: who takes which actor's batches, and what each holds unconfirmed."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from headrace.broker.credit import Origin
from headrace.broker.queue import QueuedBatch
from headrace.protocol.messages import LearnerHello, LearnerProgress


@dataclass
class LearnerSession:
    """One living session.

    Attributes:
        routing_id: the socket that spoke for it last.
        lease_up_to_steps: env steps that it takes in all; cumulative.
        leased_env_steps: env steps that it was leased so far.
        leases: what it has not confirmed, by lease number.
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
    leased_by_origin: Counter[Origin] = field(default_factory=Counter)

    @property
    def takes_more(self) -> bool:
        """Whether it may be leased another batch."""
        return self.leased_env_steps < self.lease_up_to_steps

    def lease(self, batch: QueuedBatch) -> int:
        """Notes a lease, and returns its number."""
        self.last_lease += 1
        self.leases[self.last_lease] = batch
        if batch.header.purpose == "train":
            self.leased_env_steps += batch.header.env_steps
            self.leased_by_origin[batch.origin] += 1
        return self.last_lease

    def confirm(self, up_to: int) -> list[QueuedBatch]:
        """Takes out, and returns, the leases up to a number."""
        confirmed: list[QueuedBatch] = []
        while self.leases and next(iter(self.leases)) <= up_to:
            confirmed.append(self._remove(next(iter(self.leases))))
        return confirmed

    def remove_if(self, is_meant: Callable[[QueuedBatch], bool]) -> None:
        """Takes out the leases for which `is_meant`."""
        for number in [number for number, batch in self.leases.items() if is_meant(batch)]:
            self._remove(number)

    def _remove(self, number: int) -> QueuedBatch:
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
        return list(session.leases.values())

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
