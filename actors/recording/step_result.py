"""What one step gave: of n environments, or to one agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.protocol.arrays import Array

Columns = Mapping[str, Array]
"""Arrays with one row per environment, by column name."""


@dataclass(frozen=True)
class StepResult:
    """What one step of n environments gave.

    Attributes:
        observations: what the next step begins with, [n, …] by column name.
        rewards: [n].
        terminated, truncated: [n].
        final_observations: for environments that were reset in this very step, by index, the last
            observation of the episode that ended, without the leading n.
        is_reset_step: [n] whether an environment ignored its action and was reset instead;
            such a step is not part of any episode. None means no environment.
        infos: as Gymnasium's vector environments give them: [n] values by key, and under `_key` for
            which environments there is one; without that for all.
    """

    observations: Columns
    rewards: Array
    terminated: Array
    truncated: Array
    final_observations: Mapping[int, Columns]
    is_reset_step: Array | None = None
    infos: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How an episode ended, for an agent or for all, in Gymnasium's sense."""

    terminated: bool
    truncated: bool
