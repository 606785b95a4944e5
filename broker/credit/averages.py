"""Moving average and recent values of a series."""

from __future__ import annotations

from collections import deque
from statistics import median


class MovingAverage:
    """Exponentially weighted mean; None before the first value."""

    def __init__(self, weight: float = 0.3) -> None:
        self._weight = weight
        self.value: float | None = None

    def add(self, value: float) -> None:
        """Adds a value to the mean."""
        old = self.value
        self.value = value if old is None else old + self._weight * (value - old)


class RecentValues:
    """The last few values; all of its properties are None before the first."""

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

    @property
    def median(self) -> float | None:
        """The typical value."""
        return median(self._values) if self._values else None

    def add(self, value: float) -> None:
        """Adds a value and drops the oldest."""
        self._values.append(value)
