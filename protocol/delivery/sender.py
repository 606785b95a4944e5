"""The actor's end of delivery."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Credit, Delivery, Totals

Item = TypeVar("Item")


@dataclass(frozen=True)
class ResendPolicy:
    """When a Sender resends batches that were not accepted.

    Attributes:
        first_s: wait before the first resend; each further wait is twice as long.
        longest_s: the longest wait.
        jitter: each wait is stretched by a random share up to this, to spread a fleet's resends.
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
        """Adds a finished batch, and returns its sequence number."""
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
        """Records that the batch from `next_due` was transmitted."""
        self._cursor = seq
        self._sent_once_up_to = max(self._sent_once_up_to, seq)
        if self._resend_at_s == float("inf"):
            self._arm(now_s)

    def lose_connection(self) -> None:
        """Stops transmission until a delivery state reports what has arrived."""
        self._is_cut_off = True

    @property
    def next_event_at_s(self) -> float:
        """When `next_due` may change merely because time passes; infinity if never."""
        return float("inf") if self._is_waiting else self._resend_at_s

    @property
    def _is_waiting(self) -> bool:
        return self._is_cut_off or self._is_held_up

    def receive(self, delivery: Delivery, now_s: float) -> None:
        """Applies a delivery state of this incarnation.

        Raises:
            RemoteProtocolError: more is acknowledged than accepted, or accepted than produced.
        """
        if not delivery.acknowledged <= delivery.accepted <= self.last_seq:
            raise RemoteProtocolError(
                RejectCode.MALFORMED,
                f"delivery of acknowledged {delivery.acknowledged} and accepted "
                f"{delivery.accepted}, but {self.last_seq} batches were produced",
            )
        if delivery.broker != self._broker:
            self._switch_broker(delivery, now_s)
        self._acknowledge(delivery)
        self._accept(delivery.accepted, now_s)
        was_waiting = self._is_cut_off or (self._is_held_up and delivery.accepts)
        self._is_cut_off, self._is_held_up = False, not delivery.accepts
        if was_waiting or (delivery.gap and self._cursor > self.accepted):
            self._rewind(now_s)
        if delivery.credit is not None:
            self.credit = _newer_credit(self.credit, delivery.credit)

    def _switch_broker(self, delivery: Delivery, now_s: float) -> None:
        """A new incarnation holds only what it reports, and the old one's credit is void."""
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
