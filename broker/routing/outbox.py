"""Effects on their way out; delivery states are coalesced to one per actor and round."""

from __future__ import annotations

from headrace.broker.routing.effects import Effect, Note
from headrace.protocol.identity import Origin


class Outbox:
    """Collects what one round of messages wants done."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._to_tell: dict[Origin, bool] = {}

    def add(self, effect: Effect) -> None:
        """Takes an effect."""
        self._effects.append(effect)

    def note(self, text: str, *, is_warning: bool = False) -> None:
        """Takes a line for the operator."""
        self._effects.append(Note(text, is_warning))

    def tell(self, origin: Origin, *, gap: bool = False) -> None:
        """Asks for the delivery state of `origin` to be sent when the round ends."""
        self._to_tell[origin] = gap or self._to_tell.get(origin, False)

    def take_told(self) -> dict[Origin, bool]:
        """Returns, once, the actors to tell and whether a gap has to be reported."""
        told, self._to_tell = self._to_tell, {}
        return told

    def take_effects(self) -> list[Effect]:
        """Returns, once, the effects in the order in which they came."""
        effects, self._effects = self._effects, []
        return effects
