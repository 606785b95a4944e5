"""The actors: which are live, what each has delivered, and the ledger over all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from headrace.broker.state.rate_meter import RateMeter
from headrace.protocol.delivery import Outcome, Receiver
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Hello, Ledger, Presence

_REMEMBERED_INCARNATIONS = 16
_REMEMBERED_ACTORS = 20_000
_STALE_STREAK_TO_SHOW = 10
_COUNTED = tuple(outcome for outcome in Outcome if outcome is not Outcome.STORED)


@dataclass
class ActorRecord:
    """One incarnation of an actor.

    Attributes:
        presence: its last presence message.
        is_live: whether it was heard from recently and may be granted credit.
        met_at_seq: the newest batch that it had finished at its hello to this broker.
        last_seq: the newest batch that it has reported finished.
        granted: the highest credit sent to it, kept while it is silent.
        stale_streak: stale batches in a row.
    """

    origin: Origin
    receiver: Receiver
    presence: Presence
    last_heard_s: float
    client: str = ""
    host: str = ""
    is_live: bool = True
    met_at_seq: int = 0
    last_seq: int = 0
    granted: int = 0
    stale_streak: int = 0
    last_reject: str = ""
    steps: RateMeter = field(default_factory=RateMeter)

    @property
    def produced(self) -> int:
        """Batches that it has finished, as far as this broker knows."""
        return max(self.last_seq, self.receiver.accepted)

    @property
    def is_stale_by_nature(self) -> bool:
        """Whether all of its recent batches were stale."""
        return self.stale_streak >= _STALE_STREAK_TO_SHOW

    def finish(self, seq: int, outcome: Outcome) -> None:
        """Ends an accepted batch."""
        self.receiver.finish(seq, outcome)
        if outcome is Outcome.STALE:
            self.stale_streak += 1
        elif outcome is Outcome.CONSUMED:
            self.stale_streak = 0


class Fleet:
    """The current incarnation of each actor, and former ones with open batches."""

    def __init__(self) -> None:
        self._current: dict[str, ActorRecord] = {}
        self._former: dict[Origin, ActorRecord] = {}
        self._forgotten: dict[Origin, ActorRecord] = {}
        """Actors that fell silent, and may speak again; some are among the former ones."""
        self._ended: dict[str, deque[int]] = {}
        self._closed_counts = Ledger()

    def __iter__(self) -> Iterator[ActorRecord]:
        return iter(list(self._current.values()))

    def find(self, origin: Origin) -> ActorRecord | None:
        """Returns the record of an incarnation, current or former."""
        record = self.current(origin)
        return record if record is not None else self._former.get(origin)

    def current(self, origin: Origin) -> ActorRecord | None:
        """Returns the record of an incarnation if it is its actor's current one."""
        record = self._current.get(origin[0])
        return record if record is not None and record.origin == origin else None

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
            self._current[hello.actor] = returning
            return returning, former
        record = ActorRecord((hello.actor, hello.incarnation), receiver, hello, now_s)
        record.met_at_seq = hello.last_seq
        if isinstance(hello, Hello):
            record.client, record.host = hello.client, hello.host
        self._current[hello.actor] = record
        return record, former

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
            self._former[record.origin] = record
            self.close_if_finished(record)
        return record

    def _recall(self, origin: Origin) -> ActorRecord | None:
        """Takes back an actor that was forgotten, and its counts."""
        record = self._forgotten.pop(origin, None)
        if record is not None and self._former.pop(origin, None) is None:
            counts = msgspec.structs.asdict(self._closed_counts)
            closed = _closed_counts_of(record)
            self._closed_counts = Ledger(**{name: counts[name] - closed[name] for name in counts})
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
            counts = msgspec.structs.asdict(self._closed_counts)
            closed = _closed_counts_of(record)
            self._closed_counts = Ledger(**{name: counts[name] + closed[name] for name in counts})

    def ledger(self, open_batches: int) -> Ledger:
        """Returns the ledger of all actors.

        Args:
            open_batches: queued or leased batches, as counted by the queue and the sessions. They
                are counted there rather than here, so that a bug shows as a ledger that does not
                add up.
        """
        counts = msgspec.structs.asdict(self._closed_counts)
        unaccepted = 0
        for record in self._current.values():
            _count(counts, record)
            unaccepted += record.produced - record.receiver.accepted
        for record in self._former.values():
            _count(counts, record)
            counts[Outcome.DROPPED] += _lost_with_actor(record)
        counts["held"] = open_batches + unaccepted
        return Ledger(**counts)


def _count(counts: dict[str, int], record: ActorRecord) -> None:
    """Counts all batches except the stored ones, which `StoredBatches` counts."""
    counts["produced"] += record.produced - record.receiver.ended_as(Outcome.STORED)
    for outcome in _COUNTED:
        counts[outcome] += record.receiver.ended_as(outcome)


def _closed_counts_of(record: ActorRecord) -> dict[str, int]:
    """Returns the counts of an incarnation without open batches."""
    counts = msgspec.structs.asdict(Ledger())
    _count(counts, record)
    counts[Outcome.DROPPED] += _lost_with_actor(record)
    return counts


def _lost_with_actor(record: ActorRecord) -> int:
    return record.produced - record.receiver.accepted
