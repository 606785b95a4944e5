"""The learner's assignments: what simulators run in training."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from headrace.protocol.messages import Assignment


class Assignments:
    """Keeps the assignment in force: the newest one of the newest learner run."""

    def __init__(self) -> None:
        self._learner_run: str | None = None
        self.current: Assignment | UnsetType = UNSET

    def take(self, learner_run: str, assignment: Assignment | UnsetType) -> bool:
        """Takes the assignment in a session's pull; returns whether the one in force changed.

        Another learner run has its own curriculum, or none.
        """
        former = self.current
        if learner_run != self._learner_run:
            self._learner_run, self.current = learner_run, UNSET
        if _number_of(assignment) > _number_of(self.current):
            self.current = assignment
        return self.current != former


def _number_of(assignment: Assignment | UnsetType) -> int:
    return 0 if isinstance(assignment, UnsetType) else assignment.number
