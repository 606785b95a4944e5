"""Rates and moving averages over times that are passed in."""

from __future__ import annotations

from collections import deque


class MovingAverage:
    """Exponentially weighted mean; None before the first value."""

    def __init__(self, weight: float = 0.3) -> None:
        self._weight = weight
        self.value: float | None = None

    def add(self, value: float) -> None:
        """Takes one more value into the mean."""
        old = self.value
        self.value = value if old is None else old + self._weight * (value - old)


class RecentExtremes:
    """The smallest and the largest of the last few values; None before the first."""

    def __init__(self, count: int = 8) -> None:
        self._values: deque[float] = deque(maxlen=count)

    @property
    def smallest(self) -> float | None:
        """The smallest."""
        return min(self._values, default=None)

    @property
    def largest(self) -> float | None:
        """The largest."""
        return max(self._values, default=None)

    def add(self, value: float) -> None:
        """Takes one more value, and forgets the oldest."""
        self._values.append(value)
