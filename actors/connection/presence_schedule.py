"""When an actor reports next that it is alive."""

from __future__ import annotations

_DEFAULT_PERIOD_S = 1.0
_LONGEST_S = 60.0


class PresenceSchedule:
    """A hello each second until it is answered, then an alive as often as the beacon asks for.

    Attributes:
        due_s: when the next one is due.
    """

    def __init__(self, shortest_s: float) -> None:
        self._shortest_s = self._period_s = shortest_s
        self.due_s = float("-inf")

    def follow(self, period_s: float) -> None:
        """Adopts the beacon's period."""
        period_s = min(max(period_s, self._shortest_s), _LONGEST_S)
        self.due_s += min(0.0, period_s - self._period_s)
        self._period_s = period_s

    def hasten(self, now_s: float) -> None:
        """Makes a report due now."""
        self.due_s = now_s

    def note_sent(self, now_s: float, *, is_hello: bool) -> None:
        """Records that a report was sent."""
        self.due_s = now_s + (self._shortest_s if is_hello else self._period_s)

    def silent_since(self, now_s: float) -> float:
        """Returns from when on silence of the broker means something, as it answers each report.

        With the default period this is now.
        """
        return max(now_s, self.due_s - _DEFAULT_PERIOD_S)
