"""Sums over the current actors, kept up to date by looking only at those that were touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from headrace.broker.state.actor_record import ActorRecord
from headrace.protocol.delivery import Outcome
from headrace.protocol.identity import Origin, PolicyVersion


class Counts(NamedTuple):
    """One actor's part of the sums.

    Attributes:
        produced: batches except the stored ones, which `StoredBatches` counts.
        unaccepted: batches that it has finished and that have not arrived.
        live, evaluating: 1 if it is.
    """

    produced: int = 0
    consumed: int = 0
    stale: int = 0
    rejected: int = 0
    dropped: int = 0
    unaccepted: int = 0
    live: int = 0
    evaluating: int = 0


def counts_of(record: ActorRecord) -> Counts:
    """Returns an actor's part of the sums."""
    receiver = record.receiver
    return Counts(
        record.produced - receiver.ended_as(Outcome.STORED),
        receiver.ended_as(Outcome.CONSUMED),
        receiver.ended_as(Outcome.STALE),
        receiver.ended_as(Outcome.REJECTED),
        receiver.ended_as(Outcome.DROPPED),
        record.produced - receiver.accepted,
        int(record.is_live),
        int(record.is_live and record.presence.evaluates),
    )


class FleetTotals:
    """Touch each record that may have changed; a report then takes no time for all others."""

    def __init__(self) -> None:
        self._sums = Counts()
        self._counted: dict[Origin, tuple[Counts, PolicyVersion | None]] = {}
        self._versions: Counter[PolicyVersion | None] = Counter()
        self._touched: dict[Origin, ActorRecord] = {}

    def touch(self, record: ActorRecord) -> None:
        """Notes that a record may change now, or has changed."""
        self._touched[record.origin] = record

    def remove(self, record: ActorRecord) -> None:
        """Takes an actor out of the sums."""
        self._touched.pop(record.origin, None)
        counted = self._counted.pop(record.origin, None)
        if counted is not None:
            self._sums = Counts(*_differences(self._sums, counted[0]))
            self._count_version(counted[1], -counted[0].live)

    @property
    def sums(self) -> Counts:
        """The sums over all actors."""
        self._count_touched()
        return self._sums

    @property
    def versions(self) -> Counter[PolicyVersion | None]:
        """How many live actors act with which policy version; None for those without one."""
        self._count_touched()
        return self._versions

    def _count_touched(self) -> None:
        touched, self._touched = self._touched, {}
        for origin, record in touched.items():
            counts, version = counts_of(record), record.presence.version
            former = self._counted.get(origin, (Counts(), None))
            if (counts, version) == former:
                continue
            self._counted[origin] = counts, version
            changes = _differences(counts, former[0])
            self._sums = Counts(*map(sum, zip(self._sums, changes, strict=True)))
            self._count_version(former[1], -former[0].live)
            self._count_version(version, counts.live)

    def _count_version(self, version: PolicyVersion | None, change: int) -> None:
        self._versions[version] += change
        if not self._versions[version]:
            del self._versions[version]


def _differences(ours: Counts, others: Counts) -> Iterator[int]:
    return (one - other for one, other in zip(ours, others, strict=True))
