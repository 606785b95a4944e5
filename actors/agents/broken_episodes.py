"""Environments whose episode is no longer recorded, since a value in it was not finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headrace.actors.recording.non_finite import NonFiniteValues, OnNonFinite
from headrace.actors.recording.step_result import StepResult


class BrokenEpisodes:
    """Which of n environments are in such an episode; it lasts until its simulator ends it."""

    def __init__(self, environments: int, on_non_finite: OnNonFinite) -> None:
        """Raises ConfigError if `on_non_finite` is unknown."""
        self._values = NonFiniteValues(on_non_finite)
        self._is_broken = np.zeros(environments, bool)

    def __iter__(self) -> Iterator[int]:
        yield from np.flatnonzero(self._is_broken).tolist()

    def __contains__(self, index: int) -> bool:
        return bool(self._is_broken[index])

    @property
    def are_all(self) -> bool:
        """Whether no environment is recorded."""
        return bool(self._is_broken.all())

    def add(self, index: int, fault: str, t: int) -> None:
        """Marks an environment's episode as broken.

        Args:
            fault: what is not finite, and its value.
            t: the step of the episode in which the simulator returned it; 0 for the reset.

        Raises:
            ConfigError: an error was asked for.
        """
        self._values.report(fault, t)
        self._is_broken[index] = True

    def clear(self) -> None:
        """Begins an episode in each environment."""
        self._is_broken[:] = False

    def remove_ended(self, step: StepResult) -> None:
        """Begins the episodes that follow those that ended in a step."""
        self._is_broken &= ~(step.terminated | step.truncated)

    def left_out_of(self, step: StepResult) -> StepResult:
        """Returns a step in which the broken episodes' environments count as being reset."""
        return step.leaving_out(self._is_broken) if self._is_broken.any() else step
