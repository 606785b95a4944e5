"""Events per second over times that are passed in."""

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
