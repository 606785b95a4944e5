"""Moving average and recent extremes of a series of values."""

from __future__ import annotations

from collections import deque


class MovingAverage:
    """Exponentially weighted mean; None before the first value."""

    def __init__(self, weight: float = 0.3) -> None:
        self._weight = weight
        self.value: float | None = None

    def add(self, value: float) -> None:
        """Adds a value to the mean."""
        old = self.value
        self.value = value if old is None else old + self._weight * (value - old)


class RecentExtremes:
    """The smallest and largest of the last few values; None before the first."""

    def __init__(self, count: int = 8) -> None:
        self._values: deque[float] = deque(maxlen=count)

    @property
    def smallest(self) -> float | None:
        """The smallest value."""
        return min(self._values, default=None)

    @property
    def largest(self) -> float | None:
        """The largest value."""
        return max(self._values, default=None)

    def add(self, value: float) -> None:
        """Adds a value and drops the oldest."""
        self._values.append(value)
