"""What the learner wants simulators to run in training."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from headrace.protocol.messages import Assignment


class Assignments:
    """Keeps the one that is in force: the newest of the newest learner run."""

    def __init__(self) -> None:
        self._learner_run: str | None = None
        self.current: Assignment | UnsetType = UNSET

    def begin(self, learner_run: str) -> bool:
        """Notes whose session has opened; returns whether an assignment has ended by that.

        Another learner run has a curriculum of its own, or none.
        """
        if learner_run == self._learner_run:
            return False
        had_one = self.current is not UNSET
        self._learner_run, self.current = learner_run, UNSET
        return had_one

    def take(self, assignment: Assignment | UnsetType) -> bool:
        """Takes what a session's pull says; returns whether it is a new one."""
        if isinstance(assignment, UnsetType):
            return False
        current = self.current
        if not isinstance(current, UnsetType) and assignment.number <= current.number:
            return False
        self.current = assignment
        return True
