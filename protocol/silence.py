"""When to replace a connection that has gone silent."""

from __future__ import annotations


class SilenceWatch:
    """Watches one connection whose peer speaks at least once a second.

    A middlebox that forgot a connection, or a proxy whose far side died, leaves a connection that
    looks alive to TCP forever. But a large message on a slow link looks silent as well, and would
    never arrive if every attempt were cut short, so each attempt gets twice the time of the last.
    """

    def __init__(self, now_s: float, first_s: float = 5.0, longest_s: float = 600.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._limit_s = first_s
        self._since_s = now_s

    def note_contact(self, now_s: float) -> None:
        """Records that a message arrived."""
        self._limit_s = self._first_s
        self._since_s = now_s

    def restart_if_overdue(self, now_s: float) -> bool:
        """Returns whether this wait is over and the next, longer one begins: reconnect."""
        if now_s - self._since_s < self._limit_s:
            return False
        self._limit_s = min(2 * self._limit_s, self._longest_s)
        self._since_s = now_s
        return True
