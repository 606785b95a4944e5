"""How often actors report that they are alive: each second, and more rarely where they are many."""

from __future__ import annotations

_SHORTEST_S, _LONGEST_S = 1.0, 60.0
_KEPT_SHARE = 0.9
"""Of the period, each second, where actors become fewer: some still report by the longer one."""


class PresencePeriod:
    """Follows the number of live actors, so that reports take a bounded share of the loop.

    Attributes:
        seconds: from one report of an actor to the next.
    """

    def __init__(self, reports_per_s: float) -> None:
        self._reports_per_s = reports_per_s
        self.seconds = _SHORTEST_S

    def follow(self, live_actors: int) -> None:
        """Adapts the period; call it once a second, with each beacon."""
        wanted_s = min(max(_SHORTEST_S, live_actors / self._reports_per_s), _LONGEST_S)
        self.seconds = max(wanted_s, _KEPT_SHARE * self.seconds)

    def stretched(self, limit_s: float) -> float:
        """Returns a limit on silence that was meant for a report each second."""
        return limit_s * self.seconds / _SHORTEST_S
