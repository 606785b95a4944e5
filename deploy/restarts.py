"""When a child process that died is started again."""

from __future__ import annotations

_CALM_S = 60.0
_MOST_IN_A_ROW = 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Restarts:
    """Counts the deaths of a child that came soon after its start."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def pause_after(self, ran_s: float) -> float | None:
        """Returns how long to wait before the next start; None if restarts do not help.

        Args:
            ran_s: how long the child ran before it died.
        """
        if ran_s >= _CALM_S:
            self._in_a_row = 0
        self._in_a_row += 1
        if self._in_a_row > _MOST_IN_A_ROW:
            return None
        return min(_FIRST_PAUSE_S * 2.0 ** (self._in_a_row - 1), _LONGEST_PAUSE_S)
