"""The result of one step, of n environments or for one agent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.protocol.arrays import Array

Columns = Mapping[str, Array]
"""Arrays with one row per environment, or one row for one agent, by column name."""


@dataclass(frozen=True)
class StepResult:
    """The result of one step of n environments.

    Attributes:
        observations: the ones that the next step acts on, [n, …] by column name.
        rewards: [n].
        terminated, truncated: [n].
        final_observations: the last observation of each episode that ended, without the leading
            n, by index of the environment; only for environments that were reset in this step.
        is_reset_step: [n] whether an environment ignored its action and was reset instead;
            such a step belongs to no episode. None means that none was.
        infos: in the format of Gymnasium's vector environments: [n] values by key, and under
            `_key` a mask of the environments that have one; without the mask, all have one.
    """

    observations: Columns
    rewards: Array
    terminated: Array
    truncated: Array
    final_observations: Mapping[int, Columns]
    is_reset_step: Array | None = None
    infos: Mapping[str, Any] = field(default_factory=dict)

    def leaving_out(self, environments: Array) -> StepResult:
        """Returns the step as if some environments, [n] whether each, had been reset in it."""
        reset = self.is_reset_step
        left_out = environments.copy() if reset is None else environments | reset
        return dataclasses.replace(self, is_reset_step=left_out)


@dataclass(frozen=True)
class Ending:
    """How an episode ended, for an agent or for all, in Gymnasium's sense."""

    terminated: bool
    truncated: bool
