"""Sums over the current actors, kept up to date by looking only at those that were touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from headrace.broker.state.actor_record import ActorRecord
from headrace.protocol.delivery import Outcome
from headrace.protocol.identity import Origin


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
        self._counted: dict[Origin, Counts] = {}
        self._touched: dict[Origin, ActorRecord] = {}

    def touch(self, record: ActorRecord) -> None:
        """Notes that a record may change now, or has changed."""
        self._touched[record.origin] = record

    def remove(self, record: ActorRecord) -> None:
        """Takes an actor out of the sums."""
        self._touched.pop(record.origin, None)
        counted = self._counted.pop(record.origin, None)
        if counted is not None:
            self._sums = Counts(*_differences(self._sums, counted))

    @property
    def sums(self) -> Counts:
        """The sums over all actors."""
        touched, self._touched = self._touched, {}
        for origin, record in touched.items():
            counts = counts_of(record)
            former = self._counted.get(origin, Counts())
            if counts != former:
                self._counted[origin] = counts
                changes = _differences(counts, former)
                self._sums = Counts(*map(sum, zip(self._sums, changes, strict=True)))
        return self._sums


def _differences(ours: Counts, others: Counts) -> Iterator[int]:
    return (one - other for one, other in zip(ours, others, strict=True))
