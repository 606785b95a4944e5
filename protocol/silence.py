"""When a connection that says nothing is to be made anew."""

from __future__ import annotations


class SilenceWatch:
    """Watches one connection whose peer speaks at least once a second.

    A middlebox that forgot a connection, or a proxy whose other side died, leaves one that looks
    alive to TCP for ever. But a large message on a slow line is silence, too, and would never get
    through if each attempt were cut short: so each one is given twice the time of the last.
    """

    def __init__(self, now_s: float, first_s: float = 5.0, longest_s: float = 600.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._limit_s = first_s
        self._since_s = now_s

    def hear(self, now_s: float) -> None:
        """Notes that the peer spoke."""
        self._limit_s = self._first_s
        self._since_s = now_s

    def is_overdue(self, now_s: float) -> bool:
        """Returns True, once, when the connection should be made anew."""
        if now_s - self._since_s < self._limit_s:
            return False
        self._limit_s = min(2 * self._limit_s, self._longest_s)
        self._since_s = now_s
        return True
