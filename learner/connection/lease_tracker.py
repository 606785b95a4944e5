"""The leases of a learner: those it holds unconfirmed, and those it knows to have ended."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from headrace.protocol.messages import HeldBatch, Lease, Mark

_REMEMBERED_ORIGINS = 4_000

_Origin = tuple[str, int]


@dataclass
class _Marks:
    ended: int = 0
    confirmed: set[int] = field(default_factory=set)


class LeaseTracker:
    """Outlives the sessions of its process, so that a new session keeps the leases of the old one.

    Attributes:
        last_lease: the number of the current session's newest lease.
        confirmed: the current session's leases up to this number are confirmed.
        marks, held: fields of the current session's hello.
    """

    def __init__(self) -> None:
        self._origins: OrderedDict[_Origin, _Marks] = OrderedDict()
        self._leases: OrderedDict[int, Lease | None] = OrderedDict()
        self._numbers: dict[tuple[_Origin, int], int] = {}
        self.last_lease = 0
        self.confirmed = 0
        self.marks: tuple[Mark, ...] = ()
        self.held: tuple[HeldBatch, ...] = ()

    def begin(self) -> None:
        """Begins a session: held leases get the first numbers; evaluations are given up."""
        kept = [lease for lease in self._leases.values() if lease and lease.purpose == "train"]
        self._leases = OrderedDict(enumerate(kept, start=1))
        self._numbers = {_key(lease): number for number, lease in enumerate(kept, start=1)}
        self.last_lease, self.confirmed = len(kept), 0
        for lease in kept:
            self._marks_of(lease)
        indices = {origin: index for index, origin in enumerate(self._origins)}
        self.marks = tuple(
            Mark(*origin, marks.ended, tuple(sorted(marks.confirmed)))
            for origin, marks in self._origins.items()
        )
        self.held = tuple(HeldBatch(indices[_origin(lease)], lease.seq) for lease in kept)

    def add(self, lease: Lease) -> bool:
        """Adds the next lease; returns False if its batch is already held, or has ended."""
        self.last_lease = lease.number
        if lease.purpose == "train":
            marks = self._marks_of(lease)
            marks.ended = max(marks.ended, lease.ended)
            marks.confirmed = {seq for seq in marks.confirmed if seq > marks.ended}
            if lease.seq <= marks.ended or lease.seq in marks.confirmed:
                return self._skip(lease.number)
        if _key(lease) in self._numbers:
            return self._skip(lease.number)
        self._leases[lease.number] = lease
        self._numbers[_key(lease)] = lease.number
        return True

    def confirm(self, lease: Lease) -> bool:
        """Confirms held leases up to this one, of any session; returns False if it is not held."""
        number = self._numbers.get(_key(lease))
        if number is None:
            return False
        self._confirm_up_to(number)
        return True

    def _skip(self, number: int) -> bool:
        self._leases[number] = None
        self._confirm_up_to(self.confirmed)
        return False

    def _confirm_up_to(self, number: int) -> None:
        """Confirms leases up to a number, and the skipped ones that follow."""
        while self._leases:
            first, lease = next(iter(self._leases.items()))
            if first > number and lease is not None:
                return
            self.confirmed = first
            del self._leases[first]
            if lease is not None:
                del self._numbers[_key(lease)]
                if lease.purpose == "train":
                    self._marks_of(lease).confirmed.add(lease.seq)

    def _marks_of(self, lease: Lease) -> _Marks:
        marks = self._origins.setdefault(_origin(lease), _Marks())
        self._origins.move_to_end(_origin(lease))
        if len(self._origins) > _REMEMBERED_ORIGINS:
            self._origins.popitem(last=False)
        return marks


def _origin(lease: Lease) -> _Origin:
    return lease.actor, lease.incarnation


def _key(lease: Lease) -> tuple[_Origin, int]:
    return _origin(lease), lease.seq
