"""What the learner has assigned, and what the present episodes began under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UnsetType

from headrace.actors.connection.client import Client
from headrace.protocol.messages import Assignment


@dataclass(frozen=True)
class Reset:
    """How to reset a simulator whose next episodes are of another assignment.

    Attributes:
        task: its name, None if nothing is assigned any more.
        options, seed: for `reset` as Gymnasium has it, the options for all later resets too.
    """

    task: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None


class Adoption:
    """Which assignment the newest episodes began under."""

    def __init__(self) -> None:
        self._number = 0

    def is_behind(self, assignment: Assignment | None) -> bool:
        """Returns whether the newest episodes began under another one."""
        return _number_of(assignment) != self._number

    def adopt(self, assignment: Assignment | None) -> Reset:
        """Returns how to reset for the episodes that begin now; the seed only once."""
        is_new = self.is_behind(assignment)
        self._number = _number_of(assignment)
        if assignment is None:
            return Reset()
        seed = None if not is_new or isinstance(assignment.seed, UnsetType) else assignment.seed
        return Reset(assignment.task, assignment.options, seed)


class AssignmentWatch:
    """Tells when another assignment has come into force, to those who `watch`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._is_watched = False
        self._adoption = Adoption()

    def watch(self) -> None:
        """Says that resets are asked for, and will be made; without it nothing is ever behind."""
        self._is_watched = True

    @property
    def is_behind(self) -> bool:
        """Whether the present episodes began under another assignment; asked at every step."""
        return self._is_watched and self.has_changed

    @property
    def has_changed(self) -> bool:
        """Whether `adopt` would return another one than before, watched or not."""
        return self._adoption.is_behind(self._client.assignment)

    def adopt(self) -> Reset:
        """Returns how to reset for the episodes that begin now."""
        return self._adoption.adopt(self._client.assignment)


def _number_of(assignment: Assignment | None) -> int:
    return 0 if assignment is None else assignment.number
