"""Compares the batches that actors produced with those handed to training, from diaries alone.

Entries that it reads (see `Diary`); an *origin* is one life (process) of one actor:

    produced      actor, life, number          before the batch was pushed
    transmitted   actor, life, number          whenever the batch went to a socket
    acknowledged  actor, life, number          the actor learned that all up to it had ended
    ended         actor, life, stale, rejected, dropped, held      the actor's counts at its end
    handed        worker, life, take, actor, actor's life, number, attempt    training got a batch
    fault         kind, target                 the fault (`kill`, `freeze`, …) and its process
    healed        target                       the fault is over; never after a `kill`
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.batches import BatchId
from chaos.diary import Entry

Origin = tuple[int, int]


@dataclass(frozen=True)
class Handing:
    """One handing of a batch to training."""

    at_s: float
    worker: int
    life: int
    take: int
    batch: BatchId
    attempt: int


@dataclass(frozen=True)
class Ledger:
    """All batches, as seen from outside: produced = consumed + … + held + lost.

    A batch handed to a learner that died before it confirmed may be in two of these.
    """

    produced: int
    consumed: int
    stale: int
    rejected: int
    dropped: int
    held: int
    lost: int
    died_with_actor: int


@dataclass(frozen=True)
class Findings:
    """The referee's findings.

    Attributes:
        handed_twice: batches handed to training more than once.
        unexcused: those of them that no kill or freeze of a learner explains, or that came again
            without a raised attempt.
        out_of_order: batches that a learner's process was handed, at the first attempt, after a
            later one of the same origin.
        learners_were_hurt: whether a learner had a fault, which explains disorder: batches that one
            gives back reach the others late.
        late_after_death: further batches out of order, not yet handed to any learner when the
            broker died beside several: it had leased them to a learner that they did not reach.
        sent_twice: transmissions beyond the first of each batch.
        open_at_faults: batches unacknowledged at the faults, which may be sent again.
        disagreements: actors whose own counts differ.
    """

    ledger: Ledger
    handed_twice: int
    unexcused: int
    out_of_order: int
    learners_were_hurt: bool
    late_after_death: int
    sent_twice: int
    open_at_faults: int
    disagreements: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """The broken promises, a sentence each."""
        found: list[str] = []
        if self.ledger.lost:
            found.append(f"{self.ledger.lost} batches were lost")
        if self.unexcused:
            found.append(f"{self.unexcused} batches were handed to training twice, unexcused")
        if self.out_of_order and not self.learners_were_hurt:
            found.append(f"{self.out_of_order} batches were out of order")
        return found + self.disagreements


@dataclass
class _Origin:
    produced: set[int] = field(default_factory=set)
    unhanded: set[int] = field(default_factory=set)
    transmissions: Counter[int] = field(default_factory=Counter)
    handed: set[int] = field(default_factory=set)
    acknowledged: int = 0
    newest: int = 0
    unhanded_at_death: frozenset[int] = frozenset()
    ended: tuple[int, int, int, int] | None = None


_ENDS = ("stale", "rejected", "dropped", "held")


class Referee:
    """Reads entries in order of time; call `findings` at the end."""

    def __init__(self) -> None:
        self._origins: defaultdict[Origin, _Origin] = defaultdict(_Origin)
        self._handings: defaultdict[BatchId, list[Handing]] = defaultdict(list)
        self._newest_take: dict[tuple[int, int], int] = {}
        self._newest_handed: Counter[tuple[int, int, Origin]] = Counter()
        self._unconfirmed: defaultdict[tuple[int, int], list[range]] = defaultdict(list)
        self._out_of_order = 0
        self._late_after_death = 0
        self._open_at_faults = 0

    def read(self, entries: Iterable[Entry]) -> None:
        """Reads more entries."""
        for entry in entries:
            match entry.kind:
                case "produced":
                    actor, life, number = entry.fields
                    origin = self._origins[actor, life]
                    origin.produced.add(number)
                    origin.unhanded.add(number)
                    origin.newest = number
                case "transmitted":
                    actor, life, number = entry.fields
                    self._origins[actor, life].transmissions[number] += 1
                case "acknowledged":
                    actor, life, number = entry.fields
                    self._origins[actor, life].acknowledged = number
                case "ended":
                    actor, life, *books = entry.fields
                    stale, rejected, dropped, held = books
                    self._origins[actor, life].ended = (stale, rejected, dropped, held)
                case "handed":
                    self._hand(entry)
                case "fault":
                    self._open_at_faults += sum(
                        origin.newest - origin.acknowledged for origin in self._origins.values()
                    )
                    self._hurt(str(entry.fields[1]))
                    if str(entry.fields[1]).startswith("broker"):
                        self._note_open()
                case "healed":
                    self._heal(str(entry.fields[0]))
                case _:
                    pass  # other entries are for other readers

    def _hand(self, entry: Entry) -> None:
        worker, life, take, actor, actor_life, number, attempt = entry.fields
        batch = BatchId(actor, actor_life, number)
        self._newest_take[worker, life] = take
        self._origins[actor, actor_life].handed.add(number)
        self._origins[actor, actor_life].unhanded.discard(number)
        where = (worker, life, (actor, actor_life))
        if attempt == 1:
            if number < self._newest_handed[where]:
                self._note_late(worker, self._origins[actor, actor_life], number)
            self._newest_handed[where] = number
        self._handings[batch].append(Handing(entry.at_s, worker, life, take, batch, attempt))

    def _note_open(self) -> None:
        for origin in self._origins.values():
            origin.unhanded_at_death = frozenset(origin.unhanded)

    def _note_late(self, worker: int, origin: _Origin, number: int) -> None:
        has_others = any(other != worker for other, _ in self._newest_take)
        if has_others and number in origin.unhanded_at_death:
            self._late_after_death += 1
        else:
            self._out_of_order += 1

    def _hurt(self, target: str) -> None:
        """Assumes that a learner's confirmations, from its last take on, do not arrive."""
        for learner, take in self._newest_take.items():
            if learner_name(*learner) == target:
                self._unconfirmed[learner].append(range(take, sys.maxsize))

    def _heal(self, target: str) -> None:
        for learner, takes in self._unconfirmed.items():
            if learner_name(*learner) == target:
                # Batches that arrived before the fault are in its next take.
                takes[-1] = range(takes[-1].start, self._newest_take[learner] + 2)

    def findings(self) -> Findings:
        """Returns the findings; call it once all entries are read."""
        again = [handings for handings in self._handings.values() if len(handings) > 1]
        return Findings(
            ledger=self._ledger(),
            handed_twice=len(again),
            unexcused=sum(not self._is_excused(handings) for handings in again),
            out_of_order=self._out_of_order,
            learners_were_hurt=any(self._unconfirmed.values()),
            late_after_death=self._late_after_death,
            sent_twice=sum(
                count - 1
                for origin in self._origins.values()
                for count in origin.transmissions.values()
            ),
            open_at_faults=self._open_at_faults,
            disagreements=self._disagreements(),
        )

    def _is_excused(self, handings: list[Handing]) -> bool:
        """Returns whether a fault explains each repetition, and its attempt is higher.

        A frozen learner may hand over the first attempt after another has handed over the second.
        """
        return all(
            first.attempt < second.attempt and self._is_unconfirmed(first)
            for first, second in pairwise(sorted(handings, key=lambda handing: handing.attempt))
        )

    def _is_unconfirmed(self, handing: Handing) -> bool:
        """Returns whether a fault may have kept the confirmation from the broker."""
        return any(
            handing.take in takes for takes in self._unconfirmed[handing.worker, handing.life]
        )

    def _ledger(self) -> Ledger:
        counts: Counter[str] = Counter()
        for origin in self._origins.values():
            counts["produced"] += len(origin.produced)
            counts["consumed"] += len(origin.handed & origin.produced)
            missing = origin.produced - origin.handed
            if origin.ended is None:  # killed: its unacknowledged batches died with it
                died = {number for number in missing if number > origin.acknowledged}
                counts["died_with_actor"] += len(died)
                counts["lost"] += len(missing - died)
                continue
            counts.update(dict(zip(_ENDS, origin.ended, strict=True)))
            counts["lost"] += max(0, len(missing) - sum(origin.ended))
        names = ("produced", "consumed", "stale", "rejected", "dropped", "held", "lost")
        return Ledger(
            **{name: counts[name] for name in names}, died_with_actor=counts["died_with_actor"]
        )

    def _surely_confirmed(self, origin: _Origin, actor: int, life: int) -> set[int]:
        """Returns batches that cannot have returned to the queue and ended there as stale."""
        return {
            number
            for number in origin.handed
            if not all(map(self._is_unconfirmed, self._handings[BatchId(actor, life, number)]))
        }

    def _disagreements(self) -> list[str]:
        found: list[str] = []
        for (actor, life), origin in self._origins.items():
            strange = origin.handed - origin.produced
            if strange:
                found.append(f"actor {actor}, life {life}: {len(strange)} batches from nowhere")
            missing = len(origin.produced - self._surely_confirmed(origin, actor, life))
            if origin.ended is not None and missing < sum(origin.ended):
                found.append(
                    f"actor {actor}, life {life}: it counts {sum(origin.ended)} batches as stale, "
                    f"rejected, dropped or held, but only {missing} were not handed to training"
                )
        return found


def learner_name(worker: int, life: int) -> str:
    """Returns the name of a learner's process in `fault` entries."""
    return f"learner-{worker}.{life}"
