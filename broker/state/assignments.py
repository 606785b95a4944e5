"""What the learner wants simulators to run in training."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from headrace.protocol.messages import Assignment


class Assignments:
    """Keeps the one that is in force: the newest of the newest learner run."""

    def __init__(self) -> None:
        self._learner_run: str | None = None
        self.current: Assignment | UnsetType = UNSET

    def take(self, learner_run: str, assignment: Assignment | UnsetType) -> bool:
        """Takes what a session's pull says; returns whether something else is in force now.

        Another learner run has a curriculum of its own, or none.
        """
        former = self.current
        if learner_run != self._learner_run:
            self._learner_run, self.current = learner_run, UNSET
        if _number_of(assignment) > _number_of(self.current):
            self.current = assignment
        return self.current != former


def _number_of(assignment: Assignment | UnsetType) -> int:
    return 0 if isinstance(assignment, UnsetType) else assignment.number
