"""Which evaluation episodes an actor still has to run."""

from __future__ import annotations

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import EvaluationTask


class EvaluationTasks:
    """The newest task, and how many of its episodes were begun.

    Attributes:
        task: that of the last delivery; None without one.
    """

    def __init__(self) -> None:
        self.task: EvaluationTask | None = None
        self._begun: tuple[str, int] = ("", 0)

    def to_begin(self, version: PolicyVersion | None) -> EvaluationTask | None:
        """Returns the task of an episode to run now with this version, None if there is none."""
        task = self.task
        if task is None or version is None or version < task.min_version:
            return None
        begun = self._begun[1] if self._begun[0] == task.task else 0
        return task if begun < task.episodes else None

    def begin(self, task: str) -> None:
        """Counts an episode begun for a task."""
        known, begun = self._begun
        self._begun = (task, begun + 1 if known == task else 1)

    def give_back(self, task: str) -> None:
        """Takes back an episode that `begin` counted."""
        known, begun = self._begun
        if known == task:
            self._begun = (task, begun - 1)
