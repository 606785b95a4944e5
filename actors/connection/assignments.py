"""Adopts the learner's assignments, and tracks which one the open episodes began under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UnsetType

from headrace.actors.connection.broker_client import BrokerClient
from headrace.protocol.messages import Assignment


@dataclass(frozen=True)
class Reset:
    """How to reset a simulator for the episodes of a new assignment.

    Attributes:
        task: the assignment's name; None if nothing is assigned any more.
        options, seed: arguments of Gymnasium's `reset`; pass the options to later resets as well.
    """

    task: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


class Adoption:
    """Tracks which assignment the newest episodes began under."""

    def __init__(self) -> None:
        self._number = 0

    def is_behind(self, assignment: Assignment | None) -> bool:
        """Returns whether the newest episodes began under a different assignment."""
        return _number_of(assignment) != self._number

    def adopt(self, assignment: Assignment | None) -> Reset:
        """Returns how to reset for episodes that begin now; includes the seed only once."""
        is_new = self.is_behind(assignment)
        self._number = _number_of(assignment)
        if assignment is None:
            return Reset()
        seed = None if not is_new or isinstance(assignment.seed, UnsetType) else assignment.seed
        return Reset(assignment.task, assignment.options, seed)


class AssignmentWatch:
    """Detects a new assignment once `watch` has been called."""

    def __init__(self, client: BrokerClient) -> None:
        self._client = client
        self._is_watched = False
        self._adoption = Adoption()

    def watch(self) -> None:
        """Declares that the caller performs resets; until then nothing is ever behind."""
        self._is_watched = True

    @property
    def is_behind(self) -> bool:
        """Whether the open episodes began under a different assignment; read at every step."""
        return self._is_watched and self.has_changed

    @property
    def has_changed(self) -> bool:
        """Whether `adopt` would return a different assignment than last time, watched or not."""
        return self._adoption.is_behind(self._client.assignment)

    def adopt(self) -> Reset:
        """Returns how to reset for episodes that begin now."""
        return self._adoption.adopt(self._client.assignment)


def _number_of(assignment: Assignment | None) -> int:
    return 0 if assignment is None else assignment.number
