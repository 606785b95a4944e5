"""Which part of a learner's data each of its brokers should deliver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_STEPS = 256
"""Env steps that are asked for in all before what was delivered says something of the fleets."""

_LOWEST_PACE, _RECOVERY = 0.02, 0.02
_SLOWEST_CHANGE, _FASTEST_CHANGE = 0.5, 1.5


@dataclass
class _Fleet:
    """The actors at one broker.

    Attributes:
        pace: what an actor delivers, compared with those of the fastest fleet.
    """

    asked_steps: int = 0
    delivered_steps: int = 0
    pace: float = 1.0


class FleetShares:
    """Equal actors deliver equal shares, wherever they are; slow fleets less than others.

    A broker's share follows the number of its actors. What its fleet cannot deliver in time is
    taken over by others, which lowers its pace; a pace recovers slowly, as it may have been a
    hiccup.
    """

    def __init__(self, brokers: int) -> None:
        self._fleets = [_Fleet() for _ in range(brokers)]

    def of(self, actors: Sequence[int | None]) -> list[float]:
        """Returns the shares, which add up to 1.

        Args:
            actors: live actors at each broker, None for a broker that is gone.
        """
        weights = [
            (count or 0) * fleet.pace for count, fleet in zip(actors, self._fleets, strict=True)
        ]
        if not any(weights):
            weights = [float(count is not None) for count in actors]
        if not any(weights):
            weights = [1.0] * len(weights)
        return [weight / sum(weights) for weight in weights]

    def note_asked(self, parts: Sequence[int]) -> None:
        """Records that a request was divided, and learns from how earlier ones were delivered."""
        if sum(fleet.asked_steps for fleet in self._fleets) >= _LEAST_STEPS:
            self._learn()
        for fleet, part in zip(self._fleets, parts, strict=True):
            fleet.asked_steps += part

    def note_delivered(self, broker: int, env_steps: int) -> None:
        """Counts what a broker delivered, whether it was asked of it at first or later."""
        self._fleets[broker].delivered_steps += env_steps

    def _learn(self) -> None:
        asked = sum(fleet.asked_steps for fleet in self._fleets)
        delivered = sum(fleet.delivered_steps for fleet in self._fleets)
        for fleet in self._fleets:
            if fleet.asked_steps and delivered:
                ratio = (fleet.delivered_steps / delivered) / (fleet.asked_steps / asked)
                fleet.pace *= min(max(ratio, _SLOWEST_CHANGE), _FASTEST_CHANGE)
                fleet.pace += _RECOVERY * (1 - fleet.pace)
                fleet.pace = min(max(fleet.pace, _LOWEST_PACE), 1.0)
            fleet.asked_steps = fleet.delivered_steps = 0
