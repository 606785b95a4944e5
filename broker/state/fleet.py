"""The actors: who lives, what each delivered, and the books that add up over all of them."""

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
        presence: what it said of itself last.
        is_live: whether it was heard of lately and may be granted credit.
        met_at_seq: the newest batch that it had finished when it said hello to this broker.
        last_seq: the newest batch that it said it finished.
        granted: the highest credit it was told, kept over a silence.
        stale_streak: batches in a row that were stale.
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
        """Batches that it finished, as far as this broker knows."""
        return max(self.last_seq, self.receiver.accepted)

    @property
    def is_stale_by_nature(self) -> bool:
        """Whether all of its latest batches were too old."""
        return self.stale_streak >= _STALE_STREAK_TO_SHOW

    def finish(self, seq: int, outcome: Outcome) -> None:
        """Ends an accepted batch."""
        self.receiver.finish(seq, outcome)
        if outcome is Outcome.STALE:
            self.stale_streak += 1
        elif outcome is Outcome.CONSUMED:
            self.stale_streak = 0


class Fleet:
    """All incarnations: the current one of each actor, and former ones with open batches."""

    def __init__(self) -> None:
        self._current: dict[str, ActorRecord] = {}
        self._former: dict[Origin, ActorRecord] = {}
        self._ended: dict[str, deque[int]] = {}
        self._closed_books = Ledger()

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
        return origin in self._former or origin[1] in self._ended.get(origin[0], ())

    def admit(self, hello: Presence, now_s: float) -> tuple[ActorRecord, ActorRecord | None]:
        """Opens the record of a new incarnation; returns it, and the one that it supersedes.

        Raises:
            RemoteProtocolError: the books in the hello do not add up.
        """
        receiver = Receiver(hello.acknowledged, hello.totals)
        former = self.end(hello.actor)
        record = ActorRecord((hello.actor, hello.incarnation), receiver, hello, now_s)
        record.met_at_seq = hello.last_seq
        if isinstance(hello, Hello):
            record.client, record.host = hello.client, hello.host
        self._current[hello.actor] = record
        return record, former

    def forget(self, actor: str) -> ActorRecord | None:
        """Closes the books of an actor; what it never delivered counts as dropped.

        Should it speak again after all, it is admitted with the books that it brings.
        """
        record = self._current.pop(actor, None)
        if record is not None:
            self._former[record.origin] = record
            self.close_if_finished(record)
        return record

    def end(self, actor: str) -> ActorRecord | None:
        """Forgets the current incarnation of an actor for good: it must not speak again."""
        record = self.forget(actor)
        if record is None:
            return None
        ended = self._ended.pop(actor, None) or deque(maxlen=_REMEMBERED_INCARNATIONS)
        ended.append(record.origin[1])
        self._ended[actor] = ended
        if len(self._ended) > _REMEMBERED_ACTORS:
            del self._ended[next(iter(self._ended))]
        return record

    def close_if_finished(self, record: ActorRecord) -> None:
        """Moves the books of a former incarnation without open batches to the closed ones."""
        if record.origin in self._former and not record.receiver.unfinished:
            del self._former[record.origin]
            counts = msgspec.structs.asdict(self._closed_books)
            _count(counts, record)
            counts[Outcome.DROPPED] += _lost_with_actor(record)
            self._closed_books = Ledger(**counts)

    def ledger(self, open_batches: int) -> Ledger:
        """Returns the books of all actors.

        Args:
            open_batches: accepted batches that wait or are leased, as the queue and the sessions
                count them. They are counted there and not here, so that a slip shows as a ledger
                that does not add up.
        """
        counts = msgspec.structs.asdict(self._closed_books)
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
    """Counts all but what was stored, for which the journal's books answer."""
    counts["produced"] += record.produced - record.receiver.ended_as(Outcome.STORED)
    for outcome in _COUNTED:
        counts[outcome] += record.receiver.ended_as(outcome)


def _lost_with_actor(record: ActorRecord) -> int:
    return record.produced - record.receiver.accepted
