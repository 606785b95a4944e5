"""Pending effects; delivery states are coalesced to one per actor and round."""

from __future__ import annotations

from headrace.broker.routing.effects import Effect, Note
from headrace.protocol.identity import Origin


class Outbox:
    """Collects the effects of one round of messages."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._scheduled: dict[Origin, bool] = {}

    def add(self, effect: Effect) -> None:
        """Adds an effect."""
        self._effects.append(effect)

    def note(self, text: str, *, is_warning: bool = False) -> None:
        """Adds a log line for the operator."""
        self._effects.append(Note(text, is_warning))

    def schedule_delivery(self, origin: Origin, *, gap: bool = False) -> None:
        """Schedules the delivery state of `origin` for the end of the round."""
        self._scheduled[origin] = gap or self._scheduled.get(origin, False)

    def take_scheduled(self) -> dict[Origin, bool]:
        """Returns and clears the actors whose delivery state is due, and whether each has a gap."""
        scheduled, self._scheduled = self._scheduled, {}
        return scheduled

    def take_effects(self) -> list[Effect]:
        """Returns and clears the effects, in order."""
        effects, self._effects = self._effects, []
        return effects
