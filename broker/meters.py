"""Rates and moving averages over times that are passed in."""

from __future__ import annotations

from collections import deque


class RateMeter:
    """Events per second over the last few seconds."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._events: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, count: int, now_s: float) -> None:
        """Counts `count` events at `now_s`."""
        self._events.append((now_s, count))
        self._sum += count
        self._forget(now_s)

    def per_s(self, now_s: float) -> float:
        """Returns the rate over the window that ends now."""
        self._forget(now_s)
        return self._sum / self._window_s

    def _forget(self, now_s: float) -> None:
        while self._events and self._events[0][0] <= now_s - self._window_s:
            self._sum -= self._events.popleft()[1]


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
