"""How authenticated peers behave: how much they send, and how much of it is rubbish.

Without keys nobody knows who a peer is, and an actor id could be somebody else's: then nothing is
held against anyone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

_FORGET_S = 3600.0
_REMEMBERED_PEERS = 20_000


@dataclass(frozen=True)
class ConductLimits:
    """What a peer may do.

    Attributes:
        messages_per_s, bytes_per_s: on average over two seconds; more is dropped, and sent again. A
            compressed payload counts as what it is unpacked.
        subscriptions_per_s: the same for subscriptions, of which a fleet with one key has three for
            each actor; more are ignored, and are strikes.
        strikes: so many messages that are no legal ones, or batches that do not fit or were begun
            without credit, put a peer into quarantine; one is forgiven each second.
        quarantine_s: for so long nothing of it is read, and it cannot connect; twice as long each
            time, an hour at most.
    """

    messages_per_s: float = float("inf")
    bytes_per_s: float = float("inf")
    subscriptions_per_s: float = 3000.0
    strikes: int = 100
    quarantine_s: float = 60.0


class Ruling(Enum):
    """What to do with a message."""

    READ = auto()
    TOO_MUCH = auto()
    QUARANTINED = auto()


class QuarantineStatus(msgspec.Struct, frozen=True):
    """A peer in quarantine, for people."""

    name: str
    left_s: float
    times: int


class Bucket:
    """A token bucket: it fills at a rate, up to two seconds' worth."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._tokens = 2 * per_s
        self._filled_at_s = now_s

    def take(self, amount: float, now_s: float) -> bool:
        """Takes tokens out, if any are left: the last amount may be larger than what is there."""
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


class Conduct:
    """Judges messages by who sent them."""

    def __init__(self, limits: ConductLimits) -> None:
        self._limits = limits
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def judge(self, name: str, size_bytes: int, now_s: float) -> Ruling:
        """Judges a message before it is read."""
        peer = self._peer(name, now_s)
        if now_s < peer.quarantined_until_s:
            return Ruling.QUARANTINED
        if peer.messages.take(1, now_s) and peer.bytes.take(size_bytes, now_s):
            return Ruling.READ
        return Ruling.TOO_MUCH

    def may_subscribe(self, name: str, now_s: float) -> bool:
        """Judges a subscription."""
        peer = self._peer(name, now_s)
        return now_s >= peer.quarantined_until_s and peer.subscriptions.take(1, now_s)

    def is_quarantined(self, name: str, now_s: float) -> bool:
        """Returns whether a peer is in quarantine."""
        peer = self._peers.get(name)
        return peer is not None and now_s < peer.quarantined_until_s

    def strike(self, name: str, now_s: float) -> bool:
        """Notes that a message was rubbish; returns whether its sender is in quarantine by that."""
        peer = self._peer(name, now_s)
        if now_s < peer.quarantined_until_s:  # this was under way
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
        """Returns who is in quarantine."""
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
