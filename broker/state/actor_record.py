"""What is known of one incarnation of an actor."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.broker.state.rate_meter import RateMeter
from headrace.protocol.delivery import Outcome, Receiver
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Presence

_STALE_STREAK_TO_SHOW = 10


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
