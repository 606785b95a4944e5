"""The schedule of snapshots: which actors get one, and when it is repeated.

A new actor subscribes to its own topic, and that subscription requests the snapshot: the hello may
arrive before the subscription, and a snapshot sent then would be lost. With XPUB_MANUAL the broker
sees each subscription, so n new actors get n snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Presence


@dataclass
class _Subscriber:
    sent_at_s: float | None
    repeat_s: float


class SnapshotSchedule:
    """Remembers which actors subscribe to snapshots, and when one was last sent."""

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._subscribers: dict[str, _Subscriber] = {}
        self.sent = 0

    def subscribe(self, actor: str) -> None:
        """Adds `actor`, with nothing sent yet on this connection."""
        self._subscribers[actor] = _Subscriber(None, self._repeat_s)

    def unsubscribe(self, actor: str) -> None:
        """Removes `actor`."""
        self._subscribers.pop(actor, None)

    @property
    def listening(self) -> list[str]:
        """The subscribed actors."""
        return list(self._subscribers)

    def mark_sent(self, actor: str, now_s: float) -> None:
        """Records that the newest snapshot was sent to `actor`."""
        subscriber = self._subscribers[actor]
        if subscriber.sent_at_s is not None:
            subscriber.repeat_s *= 2
        subscriber.sent_at_s = now_s
        self.sent += 1

    def mark_current(self, actor: str) -> None:
        """Records that `actor` is up to date, which resets its repeat interval."""
        subscriber = self._subscribers.get(actor)
        if subscriber is not None:
            subscriber.repeat_s = self._repeat_s

    def is_due(self, actor: str, now_s: float) -> bool:
        """Returns whether it is time to repeat the snapshot for an actor that is behind."""
        subscriber = self._subscribers.get(actor)
        if subscriber is None or subscriber.sent_at_s is None:
            return False
        return now_s - subscriber.sent_at_s > subscriber.repeat_s


def is_current(presence: Presence, digest: str, settled: PolicyVersion | None) -> bool:
    """Returns whether an actor has the newest policy, with recent enough weights.

    Args:
        digest: of the newest policy frame.
        settled: the version that every actor should have by now.
    """
    if presence.policy_digest != digest:
        return False
    return settled is None or (presence.version is not None and presence.version >= settled)
