"""Both ends of delivery as pure state machines: bytes and times in, decisions out.

Theory of operation. The actor's `Sender` numbers batches from 1 and keeps each until it is
acknowledged. The broker's `Receiver` accepts them in order, go-back-n. Three cumulative numbers
travel back together in a `Delivery`, of which any copy may be lost, repeated or late:

* accepted a: everything up to a arrived. It stops retransmission and nothing else.
* acknowledged m <= a: everything up to m ended, as its totals say. It frees memory.
* credit: permission to *begin* batches up to a sequence number. It belongs to one broker
  incarnation and is dropped when another one speaks.

The Sender transmits each batch once, and again only above a: after a timeout with jitter, on a
`gap`, when a new broker incarnation reports a lower a, or when a connection was lost; then it waits
for the next delivery state first, lest it send to a broker that does not know it. Neither class
reads a clock: `now_s` is any monotonic time in seconds, the same for all calls to one object.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Generic, TypeVar

from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Credit, Delivery, Totals

Item = TypeVar("Item")


@dataclass(frozen=True)
class ResendPolicy:
    """When a Sender repeats what was not accepted.

    Attributes:
        first_s: wait before the first repetition; each further one waits twice as long,
        longest_s: up to this.
        jitter: each wait is stretched by a random share up to this, so that a fleet spreads.
    """

    first_s: float = 2.0
    longest_s: float = 30.0
    jitter: float = 0.5


@dataclass(frozen=True)
class Outgoing(Generic[Item]):
    """A batch that is due on the wire."""

    seq: int
    item: Item
    sent_before: bool


class Sender(Generic[Item]):
    """The actor's end. Call `enter`, then drain `next_due`, calling `mark_sent` for each."""

    def __init__(self, rng: random.Random, policy: ResendPolicy = ResendPolicy()) -> None:
        self._rng = rng
        self._policy = policy
        self._held: OrderedDict[int, Item] = OrderedDict()
        self._sent_once_up_to = 0
        self._cursor = 0
        self._resend_at_s = float("inf")
        self._resends = 0
        self._broker: int | None = None
        self._is_cut_off = False
        self._is_held_up = False
        self.last_seq = 0
        self.accepted = 0
        self.acknowledged = 0
        self.totals = Totals()
        self.credit: Credit | None = None

    @property
    def broker(self) -> int | None:
        """Incarnation of the broker that spoke last, None before the first delivery state."""
        return self._broker

    @property
    def held(self) -> int:
        """Batches that are kept until they are acknowledged."""
        return len(self._held)

    def may_begin(self, version: PolicyVersion) -> bool:
        """Returns whether the next batch may be begun with weights of `version`."""
        credit = self.credit
        return credit is not None and self.last_seq < credit.up_to and version >= credit.min_version

    def enter(self, item: Item) -> int:
        """Takes a finished batch, and returns the sequence number that it now has."""
        self.last_seq += 1
        self._held[self.last_seq] = item
        return self.last_seq

    def next_due(self, now_s: float) -> Outgoing[Item] | None:
        """Returns the next batch to transmit, or None. After transmitting, call `mark_sent`."""
        if self._is_waiting:
            return None
        if now_s >= self._resend_at_s:
            self._resends += 1
            self._rewind(now_s)
        seq = max(self._cursor, self.accepted) + 1
        if seq > self.last_seq:
            return None
        return Outgoing(seq, self._held[seq], sent_before=seq <= self._sent_once_up_to)

    def mark_sent(self, seq: int, now_s: float) -> None:
        """Notes that the batch from `next_due` left."""
        self._cursor = seq
        self._sent_once_up_to = max(self._sent_once_up_to, seq)
        if self._resend_at_s == float("inf"):
            self._arm(now_s)

    def lose_connection(self) -> None:
        """Transmits nothing until a delivery state tells what has arrived."""
        self._is_cut_off = True

    @property
    def next_event_at_s(self) -> float:
        """When `next_due` may change by time alone; infinity if never."""
        return float("inf") if self._is_waiting else self._resend_at_s

    @property
    def _is_waiting(self) -> bool:
        return self._is_cut_off or self._is_held_up

    def receive(self, delivery: Delivery, now_s: float) -> None:
        """Applies a delivery state of this incarnation.

        Raises:
            RemoteProtocolError: it acknowledges more than it accepts, or more than was produced.
        """
        if not delivery.acknowledged <= delivery.accepted <= self.last_seq:
            raise RemoteProtocolError(
                RejectCode.MALFORMED,
                f"delivery of acknowledged {delivery.acknowledged} and accepted "
                f"{delivery.accepted}, where {self.last_seq} batches were produced",
            )
        if delivery.broker != self._broker:
            self._meet_broker(delivery, now_s)
        self._acknowledge(delivery)
        self._accept(delivery.accepted, now_s)
        was_waiting = self._is_cut_off or (self._is_held_up and delivery.accepts)
        self._is_cut_off, self._is_held_up = False, not delivery.accepts
        if was_waiting or (delivery.gap and self._cursor > self.accepted):
            self._rewind(now_s)
        if delivery.credit is not None:
            self.credit = _newer_credit(self.credit, delivery.credit)

    def _meet_broker(self, delivery: Delivery, now_s: float) -> None:
        """A new incarnation holds what it says and no more, and the old one's credit is void."""
        self._broker = delivery.broker
        self.credit = None
        self.accepted = max(delivery.accepted, self.acknowledged)
        self._resends = 0
        self._rewind(now_s)

    def _acknowledge(self, delivery: Delivery) -> None:
        if delivery.acknowledged <= self.acknowledged:
            return
        for seq in range(self.acknowledged + 1, delivery.acknowledged + 1):
            del self._held[seq]
        self.acknowledged = delivery.acknowledged
        self.totals = delivery.totals

    def _accept(self, accepted: int, now_s: float) -> None:
        if accepted <= self.accepted:
            return
        self.accepted = accepted
        self._resends = 0
        self._resend_at_s = float("inf")
        if self._cursor > accepted:
            self._arm(now_s)

    def _rewind(self, now_s: float) -> None:
        self._cursor = self.accepted
        self._resend_at_s = float("inf")
        if self.last_seq > self.accepted:
            self._arm(now_s)

    def _arm(self, now_s: float) -> None:
        wait_s = min(self._policy.first_s * 2.0**self._resends, self._policy.longest_s)
        self._resend_at_s = now_s + wait_s * (1.0 + self._policy.jitter * self._rng.random())


def _newer_credit(old: Credit | None, new: Credit) -> Credit:
    """A late copy of an older grant must not take anything back."""
    if old is None or (new.up_to, new.min_version) >= (old.up_to, old.min_version):
        return new
    return old


class Verdict(Enum):
    """What a Receiver says of an arriving batch."""

    ACCEPTED = auto()
    DUPLICATE = auto()
    GAP = auto()


class Outcome(StrEnum):  # its hash is a string's, ten times as fast as another enumeration's
    """How a batch ended; the value is the field of `Totals` that counts it."""

    CONSUMED = "consumed"
    STALE = "stale"
    REJECTED = "rejected"
    DROPPED = "dropped"
    STORED = "stored"


class Receiver:
    """The broker's end, for one incarnation of one actor.

    Call `arrive` for every batch, and for each accepted one, sooner or later, `finish`.
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
        return Totals(**{outcome.value: count for outcome, count in self._counts.items()})

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
        """Judges an arriving batch; ACCEPTED makes it this side's to finish."""
        if seq <= self.accepted:
            return Verdict.DUPLICATE
        if seq > self.accepted + 1:
            return Verdict.GAP
        self.accepted = seq
        self._ended.append(None)
        self._skip_ended_elsewhere()
        return Verdict.ACCEPTED

    def should_answer_gap(self) -> bool:
        """Returns whether a gap needs an answer: once per missing batch, the rest is the timeout's.

        With several batches in flight each of them finds the same gap; answering all would start
        as many retransmissions.
        """
        if self._gap_answered_at == self.accepted:
            return False
        self._gap_answered_at = self.accepted
        return True

    def finish(self, seq: int, outcome: Outcome) -> None:
        """Notes how an accepted batch ended, and moves `acknowledged` as far as it goes.

        Raises:
            LocalProtocolError: the batch was not accepted, or has ended already.
        """
        if not self.is_open(seq):
            raise LocalProtocolError(f"batch {seq} cannot end as {outcome.value}: it is not open")
        self._ended[seq - self.acknowledged - 1] = outcome
        self._absorb()

    def take_mark(self, ended: int, confirmed: Iterable[int] = ()) -> list[int]:
        """Ends as consumed what a learner says has ended; returns what of it was open here.

        That is everything up to `ended`, and each of `confirmed`, whether or not it has arrived
        again since an earlier broker incarnation delivered it. What is missing between them is
        still accepted, in order.
        """
        confirmed = set(confirmed)
        was_open = [seq for seq in self._open_seqs() if seq <= ended or seq in confirmed]
        for seq in was_open:
            self.finish(seq, Outcome.CONSUMED)
        if ended > self.accepted:
            # Everything that arrived has ended; the rest is counted, however much it is.
            self._counts[Outcome.CONSUMED] += ended - self.accepted
            self.accepted = self.acknowledged = ended
        self._ended_elsewhere |= dict.fromkeys(confirmed, Outcome.CONSUMED)
        self._skip_ended_elsewhere()
        return was_open

    def take_stored(self, seqs: Iterable[int]) -> None:
        """Notes which batches are in the broker's journal, and need not arrive."""
        self._ended_elsewhere |= dict.fromkeys(seqs, Outcome.STORED)
        self._skip_ended_elsewhere()

    def take_books(self, acknowledged: int, totals: Totals) -> list[int]:
        """Adopts an actor's books where they are ahead; returns what was open here up to there.

        They are ahead when an earlier broker incarnation ended batches after the actor wrote the
        hello that reached this one.
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

    def _open_seqs(self) -> list[int]:
        first = self.acknowledged + 1
        return [first + index for index, outcome in enumerate(self._ended) if outcome is None]

    def _skip_ended_elsewhere(self) -> None:
        """Accepts, with its end, what a learner or a journal has and need not arrive."""
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
