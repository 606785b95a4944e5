"""When to warn about a peer that does not answer: soon, and then ever more rarely."""

from __future__ import annotations

from collections.abc import Iterable

_FIRST_S = 4.0
_FACTOR = 3.0
_LONGEST_S = 600.0


class SilenceWarnings:
    """Watches endpoints that a live peer would let itself be heard at every second."""

    def __init__(self, endpoints: Iterable[str], now_s: float) -> None:
        self._heard_s = dict.fromkeys(endpoints, now_s)
        self._due_after_s = _FIRST_S
        self._has_warned = False

    def note_contact(self, endpoint: str, now_s: float) -> None:
        """Records that an endpoint works."""
        self._heard_s[endpoint] = now_s

    def take_due(self, now_s: float) -> list[str]:
        """Returns, once per warning, the endpoints that have been silent."""
        silent = [name for name, heard_s in self._heard_s.items() if now_s - heard_s >= _FIRST_S]
        longest_s = max((now_s - self._heard_s[name] for name in silent), default=0.0)
        if longest_s < self._due_after_s:
            return []
        self._has_warned = True
        self._due_after_s = min(self._due_after_s * _FACTOR, longest_s + _LONGEST_S)
        return silent

    def take_recovery(self, now_s: float) -> bool:
        """Returns, once after a warning, whether all endpoints answer again."""
        if not self._has_warned or any(
            now_s - heard_s >= _FIRST_S for heard_s in self._heard_s.values()
        ):
            return False
        self._has_warned, self._due_after_s = False, _FIRST_S
        return True
