"""Actions for a simulator that are arrays, or nested tuples and maps of arrays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from headrace.protocol.arrays import Array
from headrace.protocol.policy_graph import ENV_ACTION

Actions = Any
"""Rows of actions: an array [n, …], or tuples and maps of these."""


def nest(leaves: Mapping[str, Array], tuples: Collection[str], root: str = ENV_ACTION) -> Actions:
    """Returns leaves by path in the form of the action space.

    Args:
        tuples: the paths at which there is a tuple; at others there is a map.
        root: the path of the whole action.
    """
    if root in leaves:
        return leaves[root]
    below = [path.removeprefix(f"{root}/") for path in leaves if path.startswith(f"{root}/")]
    names = dict.fromkeys(path.split("/")[0] for path in below)
    members = {name: nest(leaves, tuples, f"{root}/{name}") for name in names}
    return tuple(members.values()) if root in tuples else members


def map_actions(change: Callable[..., Any], *actions: Actions) -> Any:
    """Returns nested actions of the same form, with each leaf changed."""
    first = actions[0]
    if isinstance(first, Mapping):
        return {key: map_actions(change, *(a[key] for a in actions)) for key in first}
    if isinstance(first, tuple):
        return tuple(map_actions(change, *parts) for parts in zip(*actions, strict=True))
    return change(*actions)


def row_of(actions: Actions, index: int) -> Any:
    """Returns one row; scalars as Python's numbers."""

    def pick(leaf: Array) -> Any:
        row = leaf[index]
        return row if row.ndim else row.item()

    return map_actions(pick, actions)


def rows_of(actions: Actions) -> list[Any]:
    """Returns all rows; scalars as Python's numbers."""
    if not isinstance(actions, np.ndarray):
        count = len(_first_leaf(actions))
        return [row_of(actions, index) for index in range(count)]
    # All converted at once: one by one, each takes as long as its decision.
    return actions.tolist() if actions.ndim == 1 else list(actions)


def _first_leaf(actions: Actions) -> Array:
    while not isinstance(actions, np.ndarray):
        actions = next(iter(actions.values() if isinstance(actions, Mapping) else actions))
    return actions
