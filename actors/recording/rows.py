"""Converts between one simulator's observations and actions and rows of many."""

from __future__ import annotations

from typing import Any

from headrace.protocol.arrays import Array, array_of
from headrace.protocol.nested_actions import Actions, row_of
from headrace.protocol.paths import flatten_paths
from headrace.protocol.trajectory import OBSERVATIONS


def observation_leaves(observation: Any) -> dict[str, Array]:
    """Returns the leaves of an observation, or of rows of observations, by path.

    They are copies: simulators reuse their buffers, and recorded data must not change.

    Raises:
        ConfigError: a leaf is not an array.
    """
    leaves = flatten_paths(observation, OBSERVATIONS)
    return {path: array_of(path, leaf) for path, leaf in leaves.items()}


def rows_of_one(observation: Any) -> dict[str, Array]:
    """Returns a single observation as one row by path, copied."""
    return {path: leaf[None] for path, leaf in observation_leaves(observation).items()}


def action_of_one(actions: Actions) -> Any:
    """Returns the only row of actions, as a Python number where they are scalars."""
    return row_of(actions, 0)
