"""What becomes of episodes in which an observation or a reward is not finite."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from headrace.actors.recording.step_result import Columns
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.repeats import is_worth_a_line

_LOG = logging.getLogger("headrace.actor")

OnNonFinite = Literal["drop_episode", "error"]
"""What to do at a value that is not finite.

With "drop_episode", the episode's steps since the last batch are dropped, the rest of it is not
recorded, and the policy sees zeros in its place. With "error", the call that got it raises.
"""


class NonFiniteValues:
    """Reports values that are not finite: the first in full, later ones ever more rarely."""

    def __init__(self, on_non_finite: OnNonFinite) -> None:
        """Raises ConfigError if `on_non_finite` is unknown."""
        if on_non_finite not in ("drop_episode", "error"):
            raise ConfigError(f"on_non_finite is 'drop_episode' or 'error', not {on_non_finite!r}")
        self._raises = on_non_finite == "error"
        self._episodes = 0

    def report(self, fault: str, t: int) -> None:
        """Reports the first such value of an episode.

        Args:
            fault: what is not finite, and its value.
            t: the step of the episode in which the simulator returned it; 0 for the reset.

        Raises:
            ConfigError: an error was asked for.
        """
        where = f"step {t} of an episode" if t else "the reset"
        if self._raises:
            raise ConfigError(f"{fault} after {where}; the learner can train on finite values only")
        self._episodes += 1
        if self._episodes == 1:
            _LOG.warning("%s after %s: the episode is dropped", fault, where)
        elif is_worth_a_line(self._episodes):
            _LOG.warning("%s; %d episodes have been dropped for such values", fault, self._episodes)


def fault_of_reward(reward: float, agent: str | None = None) -> str | None:
    """Returns what is wrong with a reward, None if it is finite as the float32 that is recorded."""
    if are_finite(np.float64(reward)):
        return None
    whose = "the simulator's reward" if agent is None else f"the reward of agent {agent!r}"
    return f"{whose} is {reward}"


def are_finite(rewards: Array | np.float64) -> bool:
    """Returns whether rewards are finite as the float32 that is recorded."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(rewards.astype(np.float32)).all())


def fault_of_leaves(leaves: Mapping[str, Array]) -> str | None:
    """Returns which leaf of an observation is not finite, None if all are."""
    for path, leaf in leaves.items():
        if leaf.dtype.kind == "f" and not np.logical_and.reduce(np.isfinite(leaf), None):
            value = leaf[~np.isfinite(leaf)].flat[0]
            return f"the simulator's {path!r} contains {value}"
    return None


def faults_by_row(columns: Columns) -> dict[int, str]:
    """Returns what `fault_of_leaves` does for each row that contains such a value."""
    if fault_of_leaves(columns) is None:
        return {}
    count = len(next(iter(columns.values())))
    rows = ({path: values[index] for path, values in columns.items()} for index in range(count))
    faults = ((index, fault_of_leaves(leaves)) for index, leaves in enumerate(rows))
    return {index: fault for index, fault in faults if fault is not None}


def tree_with_zeros(tree: Any) -> Any:
    """Returns an observation of maps, lists and arrays with zeros in such places."""
    if isinstance(tree, Mapping):
        return {key: tree_with_zeros(member) for key, member in tree.items()}
    if isinstance(tree, list):
        return [tree_with_zeros(member) for member in tree]
    return array_with_zeros(np.asarray(tree))


def with_zeros(columns: Columns) -> dict[str, Array]:
    """Returns columns with zeros in place of values that are not finite."""
    return {path: array_with_zeros(values) for path, values in columns.items()}


def array_with_zeros(values: Array) -> Array:
    """Returns an array with zeros in place of values that are not finite."""
    if values.dtype.kind != "f":
        return values
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
