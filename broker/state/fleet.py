"""The actors: which are live, what each has delivered, and the ledger over all of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator

import msgspec

from headrace.broker.state.actor_record import ActorRecord
from headrace.broker.state.fleet_totals import Counts, FleetTotals, counts_of
from headrace.protocol.delivery import Receiver
from headrace.protocol.identity import Origin, PolicyVersion
from headrace.protocol.messages import Hello, Ledger, Presence
from headrace.protocol.messages.parts import summed

_REMEMBERED_INCARNATIONS = 16
_REMEMBERED_ACTORS = 20_000


class Fleet:
    """The current incarnation of each actor, and former ones with open batches."""

    def __init__(self) -> None:
        self._current: dict[str, ActorRecord] = {}
        self._former: dict[Origin, ActorRecord] = {}
        self._forgotten: dict[Origin, ActorRecord] = {}
        """Actors that fell silent, and may speak again; some are among the former ones."""
        self._ended: dict[str, deque[int]] = {}
        self._closed_counts = Ledger()
        self._totals = FleetTotals()

    def __iter__(self) -> Iterator[ActorRecord]:
        return iter(list(self._current.values()))

    def __len__(self) -> int:
        return len(self._current)

    @property
    def actors(self) -> list[str]:
        """The ids of all current actors."""
        return list(self._current)

    def named(self, actor: str) -> ActorRecord | None:
        """Returns the record of an actor's current incarnation."""
        return self._current.get(actor)

    def find(self, origin: Origin) -> ActorRecord | None:
        """Returns the record of an incarnation, current or former."""
        record = self.current(origin)
        return record if record is not None else self._former.get(origin)

    def current(self, origin: Origin) -> ActorRecord | None:
        """Returns the record of an incarnation if it is its actor's current one."""
        record = self._current.get(origin[0])
        if record is None or record.origin != origin:
            return None
        self._totals.touch(record)
        return record

    def has_ended(self, origin: Origin) -> bool:
        """Returns whether a later incarnation superseded this one, or it said goodbye."""
        if origin in self._forgotten:
            return False
        return origin in self._former or origin[1] in self._ended.get(origin[0], ())

    def admit(self, hello: Presence, now_s: float) -> tuple[ActorRecord, ActorRecord | None]:
        """Opens the record of a new incarnation; returns it and the one that it supersedes.

        Raises:
            RemoteProtocolError: the totals in the hello do not add up.
        """
        receiver = Receiver(hello.acknowledged, hello.totals)
        former = self.end(hello.actor)
        returning = self._recall((hello.actor, hello.incarnation))
        if returning is not None:
            self._put(returning)
            return returning, former
        record = ActorRecord((hello.actor, hello.incarnation), receiver, hello, now_s)
        record.met_at_seq = hello.last_seq
        if isinstance(hello, Hello):
            record.client, record.host = hello.client, hello.host
        self._put(record)
        return record, former

    def touch(self, record: ActorRecord) -> None:
        """Notes that a record changes which was not found by its origin."""
        if self._current.get(record.origin[0]) is record:
            self._totals.touch(record)

    @property
    def totals(self) -> Counts:
        """Sums over the current actors."""
        return self._totals.sums

    def lags_behind(self, newest: PolicyVersion) -> Counter[int]:
        """Returns how many live actors act with weights of its epoch, by versions behind it."""
        lags: Counter[int] = Counter()
        for version, actors in self._totals.versions.items():
            if version is not None and version.epoch == newest.epoch:
                lags[max(0, newest.number - version.number)] += actors
        return lags

    def _put(self, record: ActorRecord) -> None:
        self._current[record.origin[0]] = record
        self._totals.touch(record)

    def forget(self, actor: str) -> ActorRecord | None:
        """Removes an actor; the batches that it never delivered count as dropped.

        If it speaks again after all, it is as if it had not been forgotten.
        """
        record = self._remove(actor)
        if record is not None:
            self._forgotten[record.origin] = record
            if len(self._forgotten) > _REMEMBERED_ACTORS:
                del self._forgotten[next(iter(self._forgotten))]
        return record

    def _remove(self, actor: str) -> ActorRecord | None:
        record = self._current.pop(actor, None)
        if record is not None:
            self._totals.remove(record)
            self._former[record.origin] = record
            self.close_if_finished(record)
        return record

    def _recall(self, origin: Origin) -> ActorRecord | None:
        """Takes back an actor that was forgotten, and its counts."""
        record = self._forgotten.pop(origin, None)
        if record is not None and self._former.pop(origin, None) is None:
            self._closed_counts = _difference(self._closed_counts, _closed_counts_of(record))
        return record

    def end(self, actor: str) -> ActorRecord | None:
        """Ends the current incarnation of an actor for good: it must not speak again."""
        record = self._remove(actor)
        if record is None:
            return None
        ended = self._ended.pop(actor, None) or deque(maxlen=_REMEMBERED_INCARNATIONS)
        ended.append(record.origin[1])
        self._ended[actor] = ended
        if len(self._ended) > _REMEMBERED_ACTORS:
            del self._ended[next(iter(self._ended))]
        return record

    def close_if_finished(self, record: ActorRecord) -> None:
        """Adds the counts of a former incarnation without open batches to the closed ones."""
        if record.origin in self._former and not record.receiver.unfinished:
            del self._former[record.origin]
            self._closed_counts = summed(Ledger, [self._closed_counts, _closed_counts_of(record)])

    def ledger(self, open_batches: int) -> Ledger:
        """Returns the ledger of all actors.

        Args:
            open_batches: queued or leased batches, as counted by the queue and the sessions. They
                are counted there rather than here, so that a bug shows as a ledger that does not
                add up.
        """
        closed, totals = self._closed_counts, self.totals
        current = Ledger(*totals[:5], held=open_batches + totals.unaccepted)
        former = [_closed_counts_of(record) for record in self._former.values()]
        return summed(Ledger, [closed, current, *former])


def _difference(one: Ledger, other: Ledger) -> Ledger:
    parts = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Ledger(*(part - less for part, less in parts))


def _closed_counts_of(record: ActorRecord) -> Ledger:
    """Returns the counts of an incarnation that has gone: what it did not deliver is dropped."""
    counts = counts_of(record)
    return Ledger(*counts[:4], dropped=counts.dropped + counts.unaccepted)
