"""The broker's end of delivery."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, StrEnum, auto

from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.messages import Totals


class Verdict(Enum):
    """A Receiver's verdict on an arriving batch."""

    ACCEPTED = auto()
    DUPLICATE = auto()
    GAP = auto()
    """An earlier batch is missing: answer at once; only the first such batch gets this verdict."""
    REPEATED_GAP = auto()
    """The same batch is still missing: do not answer; the sender resends it after its timeout."""


class Outcome(StrEnum):  # it hashes as a string, ten times as fast as a plain Enum
    """How a batch ended; the value is the field of `Totals` that counts it."""

    CONSUMED = "consumed"
    STALE = "stale"
    REJECTED = "rejected"
    DROPPED = "dropped"
    STORED = "stored"


class Receiver:
    """The broker's end, for one incarnation of one actor.

    Call `arrive` for every batch, and later `finish` for each accepted one.
    """

    def __init__(self, acknowledged: int = 0, totals: Totals = Totals()) -> None:
        if acknowledged != totals.ended:
            raise RemoteProtocolError(
                RejectCode.MALFORMED, f"totals that do not add up to acknowledged {acknowledged}"
            )
        self._counts: dict[Outcome, int] = {
            outcome: getattr(totals, outcome.value) for outcome in Outcome
        }
        self._ended: deque[Outcome | None] = deque()
        self._ended_elsewhere: dict[int, Outcome] = {}
        self._gap_answered_at: int | None = None
        self.accepted = acknowledged
        self.acknowledged = acknowledged

    @property
    def totals(self) -> Totals:
        """How the batches up to `acknowledged` ended."""
        return Totals(*self._counts.values())  # in the order of its fields, as Outcome is

    @property
    def unfinished(self) -> int:
        """Accepted batches that have not ended."""
        return sum(1 for outcome in self._ended if outcome is None)

    def ended_as(self, outcome: Outcome) -> int:
        """Returns how many batches ended as `outcome`, including any above `acknowledged`."""
        count = self._counts[outcome]
        return count + self._ended.count(outcome) if self._ended else count

    def is_open(self, seq: int) -> bool:
        """Returns whether a batch was accepted and has not ended."""
        index = seq - self.acknowledged - 1
        return 0 <= index < len(self._ended) and self._ended[index] is None

    def arrive(self, seq: int) -> Verdict:
        """Judges an arriving batch; the caller must later `finish` an ACCEPTED one."""
        if seq <= self.accepted:
            return Verdict.DUPLICATE
        if seq > self.accepted + 1:
            return self._note_gap()
        self.accepted = seq
        self._ended.append(None)
        self._skip_ended_elsewhere()
        return Verdict.ACCEPTED

    def finish(self, seq: int, outcome: Outcome) -> None:
        """Records how an accepted batch ended, and advances `acknowledged` as far as possible.

        Raises:
            LocalProtocolError: the batch was not accepted, or has already ended.
        """
        if not self.is_open(seq):
            raise LocalProtocolError(f"batch {seq} cannot end as {outcome.value}: it is not open")
        self._ended[seq - self.acknowledged - 1] = outcome
        self._absorb()

    def apply_mark(self, ended: int, confirmed: Iterable[int] = ()) -> list[int]:
        """Ends as consumed the batches that a learner reports; returns those that were open here.

        They are all batches up to `ended`, and each of `confirmed`, whether or not it has arrived
        again since an earlier broker incarnation delivered it. Batches missing between them are
        still accepted, in order.
        """
        confirmed = set(confirmed)
        was_open = [seq for seq in self._open_seqs() if seq <= ended or seq in confirmed]
        for seq in was_open:
            self.finish(seq, Outcome.CONSUMED)
        if ended > self.accepted:
            # All batches that arrived have ended; the others are only counted, however many.
            self._counts[Outcome.CONSUMED] += ended - self.accepted
            self.accepted = self.acknowledged = ended
        self._ended_elsewhere |= dict.fromkeys(confirmed, Outcome.CONSUMED)
        self._skip_ended_elsewhere()
        return was_open

    def note_stored(self, seqs: Iterable[int]) -> None:
        """Records which batches are in the broker's journal and need not arrive."""
        self._ended_elsewhere |= dict.fromkeys(seqs, Outcome.STORED)
        self._skip_ended_elsewhere()

    def adopt_counts(self, acknowledged: int, totals: Totals) -> list[int]:
        """Adopts an actor's counts if they are ahead; returns the open batches that this ended.

        They are ahead if an earlier broker incarnation ended batches after the actor sent the hello
        that reached this one.
        """
        if acknowledged <= self.acknowledged:
            return []
        ahead = Receiver(acknowledged, totals)
        was_open = [seq for seq in self._open_seqs() if seq <= acknowledged]
        self._counts = ahead._counts
        for _ in range(min(acknowledged - self.acknowledged, len(self._ended))):
            self._ended.popleft()
        self.acknowledged = acknowledged
        self.accepted = max(self.accepted, acknowledged)
        self._skip_ended_elsewhere()
        return was_open

    def _note_gap(self) -> Verdict:
        # Several batches in flight meet the same gap; answering each would start as many
        # retransmissions.
        if self._gap_answered_at == self.accepted:
            return Verdict.REPEATED_GAP
        self._gap_answered_at = self.accepted
        return Verdict.GAP

    def _open_seqs(self) -> list[int]:
        first = self.acknowledged + 1
        return [first + index for index, outcome in enumerate(self._ended) if outcome is None]

    def _skip_ended_elsewhere(self) -> None:
        """Accepts, with their outcome, the next batches if a learner or the journal has them."""
        elsewhere = self._ended_elsewhere
        for seq in [seq for seq in elsewhere if seq <= self.accepted]:
            del elsewhere[seq]
        while self.accepted + 1 in elsewhere:
            self.accepted += 1
            self._ended.append(elsewhere.pop(self.accepted))
        self._absorb()

    def _absorb(self) -> None:
        while self._ended and (first := self._ended[0]) is not None:
            self._counts[first] += 1
            self.acknowledged += 1
            self._ended.popleft()
