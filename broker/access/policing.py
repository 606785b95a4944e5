"""Rate limits and quarantine for authenticated peers.

Without keys a sender cannot be identified, since any peer can use any actor id: nothing is limited
or held against a peer then.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

_FORGET_S = 3600.0
_REMEMBERED_PEERS = 20_000


@dataclass(frozen=True)
class PolicingLimits:
    """Limits for one peer.

    Attributes:
        messages_per_s, bytes_per_s: averages over two seconds; the excess is dropped, and the peer
            sends it again. A compressed payload counts with its uncompressed size.
        subscriptions_per_s: the same for subscriptions; the excess is ignored and counts as
            strikes. A fleet that shares a key makes three subscriptions per actor.
        strikes: number of strikes that puts a peer in quarantine: malformed messages, invalid
            batches, and batches begun without credit. One is forgiven per second.
        quarantine_s: how long the peer's messages are discarded and its connections refused;
            doubles each time, up to an hour.
    """

    messages_per_s: float = float("inf")
    bytes_per_s: float = float("inf")
    subscriptions_per_s: float = 3000.0
    strikes: int = 100
    quarantine_s: float = 60.0


class Ruling(Enum):
    """The decision on a message."""

    READ = auto()
    TOO_MUCH = auto()
    QUARANTINED = auto()


class QuarantineStatus(msgspec.Struct, frozen=True):
    """A quarantined peer, as `/status` shows it."""

    name: str
    left_s: float
    times: int


class Bucket:
    """A token bucket that holds up to two seconds' worth of its rate."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._tokens = 2 * per_s
        self._filled_at_s = now_s

    def take(self, amount: float, now_s: float) -> bool:
        """Takes tokens if any are left; the bucket may be overdrawn once by the last amount."""
        if self._per_s == float("inf"):
            return True
        filled = self._tokens + self._per_s * (now_s - self._filled_at_s)
        self._tokens, self._filled_at_s = min(2 * self._per_s, filled), now_s
        if self._tokens <= 0:
            return False
        self._tokens -= amount
        return True


@dataclass
class _Peer:
    messages: Bucket
    bytes: Bucket
    subscriptions: Bucket
    heard_at_s: float
    strikes: float = 0.0
    struck_at_s: float = 0.0
    quarantined_until_s: float = float("-inf")
    times: int = 0


class Policer:
    """Applies the limits to each peer."""

    def __init__(self, limits: PolicingLimits) -> None:
        self._limits = limits
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def take_message(self, name: str, size_bytes: int, now_s: float) -> Ruling:
        """Counts a message against its sender's limits, before it is read."""
        peer = self._peer(name, now_s)
        if now_s < peer.quarantined_until_s:
            return Ruling.QUARANTINED
        if peer.messages.take(1, now_s) and peer.bytes.take(size_bytes, now_s):
            return Ruling.READ
        return Ruling.TOO_MUCH

    def take_subscription(self, name: str, now_s: float) -> bool:
        """Counts a subscription against its sender's limit; returns whether it is allowed."""
        peer = self._peer(name, now_s)
        return now_s >= peer.quarantined_until_s and peer.subscriptions.take(1, now_s)

    def is_quarantined(self, name: str, now_s: float) -> bool:
        """Returns whether a peer is in quarantine."""
        peer = self._peers.get(name)
        return peer is not None and now_s < peer.quarantined_until_s

    def strike(self, name: str, now_s: float) -> bool:
        """Counts a strike; returns whether it puts the peer in quarantine."""
        peer = self._peer(name, now_s)
        if now_s < peer.quarantined_until_s:  # the message was already in flight
            return False
        peer.strikes = max(0.0, peer.strikes - (now_s - peer.struck_at_s)) + 1
        peer.struck_at_s = now_s
        if peer.strikes < self._limits.strikes:
            return False
        lasts_s = min(self._limits.quarantine_s * 2.0**peer.times, _FORGET_S)
        peer.strikes = 0.0
        peer.times += 1
        peer.quarantined_until_s = now_s + lasts_s
        return True

    def quarantined(self, now_s: float) -> list[QuarantineStatus]:
        """Returns the peers in quarantine."""
        return [
            QuarantineStatus(name, peer.quarantined_until_s - now_s, peer.times)
            for name, peer in self._peers.items()
            if now_s < peer.quarantined_until_s
        ]

    def _peer(self, name: str, now_s: float) -> _Peer:
        peer = self._peers.get(name)
        if peer is None or now_s - peer.heard_at_s > _FORGET_S:
            limits = self._limits
            peer = _Peer(
                Bucket(limits.messages_per_s, now_s),
                Bucket(limits.bytes_per_s, now_s),
                Bucket(limits.subscriptions_per_s, now_s),
                now_s,
            )
            self._peers[name] = peer
            if len(self._peers) > _REMEMBERED_PEERS:
                self._peers.popitem(last=False)
        peer.heard_at_s = now_s
        return peer
