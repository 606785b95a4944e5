"""Who gets a snapshot, and when again.

A joiner subscribes to a topic of its own, and that subscription is what asks for the snapshot: the
hello may arrive before the subscription does, and would then be answered into the void. With
XPUB_MANUAL each subscription is seen, so n joiners get n snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Presence


@dataclass
class _Subscriber:
    sent_at_s: float | None
    repeat_s: float


class SnapshotDesk:
    """Remembers which actors listen for snapshots, and what they were sent."""

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._subscribers: dict[str, _Subscriber] = {}
        self.sent = 0

    def subscribe(self, actor: str) -> None:
        """Notes that `actor` listens, with nothing sent yet on this connection."""
        self._subscribers[actor] = _Subscriber(None, self._repeat_s)

    def unsubscribe(self, actor: str) -> None:
        """Forgets `actor`."""
        self._subscribers.pop(actor, None)

    @property
    def listening(self) -> list[str]:
        """Actors that listen."""
        return list(self._subscribers)

    def mark_sent(self, actor: str, now_s: float) -> None:
        """Notes that `actor` was sent the newest snapshot."""
        subscriber = self._subscribers[actor]
        if subscriber.sent_at_s is not None:
            subscriber.repeat_s *= 2
        subscriber.sent_at_s = now_s
        self.sent += 1

    def is_due(
        self, presence: Presence, digest: str, settled: PolicyVersion | None, now_s: float
    ) -> bool:
        """Returns whether an actor is behind and has not been sent a snapshot lately.

        Args:
            digest: of the newest policy frame.
            settled: the version that every actor should have by now.
        """
        subscriber = self._subscribers.get(presence.actor)
        if subscriber is None or subscriber.sent_at_s is None:
            return False
        has_policy = presence.policy_digest == digest
        has_weights = settled is None or (
            presence.version is not None and presence.version >= settled
        )
        if has_policy and has_weights:
            subscriber.repeat_s = self._repeat_s
            return False
        return now_s - subscriber.sent_at_s > subscriber.repeat_s
