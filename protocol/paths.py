"""Names for the leaves of nested observations and infos: `obs/camera/left`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sorted_keys(value: Mapping[Any, Any]) -> list[Any]:
    """Returns the keys of a map in order; keys of several types in the order of their texts."""
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=str)


def flatten_paths(value: Any, root: str) -> dict[str, Any]:
    """Returns the leaves of nested maps and tuples by path, maps in the order of their sorted keys.

    A value that is not nested is a single leaf, under `root`. The order is that of dm-tree, with
    which RLlib flattens.
    """
    if isinstance(value, Mapping):
        members = [(str(key), value[key]) for key in sorted_keys(value)]
    elif isinstance(value, tuple):
        members = [(str(index), member) for index, member in enumerate(value)]
    else:
        return {root: value}
    leaves: dict[str, Any] = {}
    for name, member in members:
        leaves.update(flatten_paths(member, f"{root}/{name}"))
    return leaves
