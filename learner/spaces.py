"""Converts Gymnasium spaces to the wire's tensors and columns, and back to nested structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import ColumnSpec, IndexRange, TensorSpec
from headrace.protocol.paths import sorted_keys
from headrace.protocol.trajectory import OBSERVATIONS


def leaf_spaces(space: gym.Space[Any], root: str) -> dict[str, gym.Space[Any]]:
    """Returns the leaves of a nested space by path, in the order of `flatten_paths`.

    Raises:
        ConfigError: two leaves have the same path.
    """
    if isinstance(space, gym.spaces.Dict):
        members = [(str(key), space.spaces[key]) for key in sorted_keys(space.spaces)]
    elif isinstance(space, gym.spaces.Tuple):
        members = [(str(index), member) for index, member in enumerate(space.spaces)]
    else:
        return {root: space}
    leaves: dict[str, gym.Space[Any]] = {}
    for name, member in members:
        for path, leaf in leaf_spaces(member, f"{root}/{name}").items():
            if path in leaves:
                raise ConfigError(f"two members of a Dict space are called {path!r}: rename one")
            leaves[path] = leaf
    return leaves


def require_text_keys(space: gym.Space[Any]) -> None:
    """Raises ConfigError for Dict actions by integers: actors return actions by text."""
    if isinstance(space, gym.spaces.Dict):
        for key in space.spaces:
            if not isinstance(key, str):
                raise ConfigError(
                    f"a Dict action space has the key {key!r}: use texts, such as {str(key)!r}"
                )
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        members = space.spaces.values() if isinstance(space, gym.spaces.Dict) else space.spaces
        for member in members:
            require_text_keys(member)


def is_nested(space: gym.Space[Any]) -> bool:
    """Returns whether a space has members."""
    return isinstance(space, gym.spaces.Dict | gym.spaces.Tuple)


def tuple_paths(space: gym.Space[Any], root: str) -> list[str]:
    """Returns the paths of a nested space's members, and of itself, that are Tuples."""
    if isinstance(space, gym.spaces.Dict):
        members = {str(key): member for key, member in space.spaces.items()}
    elif isinstance(space, gym.spaces.Tuple):
        members = {str(index): member for index, member in enumerate(space.spaces)}
    else:
        return []
    own = [root] if isinstance(space, gym.spaces.Tuple) else []
    return own + [p for name, part in members.items() for p in tuple_paths(part, f"{root}/{name}")]


def has_start(space: gym.Space[Any]) -> bool:
    """Returns whether a space is one of indices that do not count from 0."""
    if not isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return False
    return bool(np.any(space.start))


def leaf_with_start(space: gym.Space[Any], root: str) -> tuple[str, gym.Space[Any]] | None:
    """Returns path and space of the first such leaf, None if all indices count from 0."""
    leaves = leaf_spaces(space, root).items()
    return next(((path, leaf) for path, leaf in leaves if has_start(leaf)), None)


def index_ranges(space: gym.Space[Any]) -> dict[str, IndexRange]:
    """Returns the bounds of an observation space's indices and flags, by path."""
    ranges: dict[str, IndexRange] = {}
    for path, leaf in leaf_spaces(space, OBSERVATIONS).items():
        match leaf:
            case gym.spaces.Discrete() | gym.spaces.MultiDiscrete():
                counts = leaf.n if isinstance(leaf, gym.spaces.Discrete) else leaf.nvec
                low = np.ravel(np.asarray(leaf.start, np.int64))
                ranges[path] = IndexRange(_compact(low), _compact(low + np.ravel(counts) - 1))
            case gym.spaces.MultiBinary():
                ranges[path] = IndexRange((0,), (1,))
            case _:
                pass
    return ranges


def _compact(bounds: Array) -> tuple[int, ...]:
    values = tuple(int(bound) for bound in bounds)
    return values[:1] if len(set(values)) == 1 else values


def tensor_of(name: str, space: gym.Space[Any]) -> TensorSpec:
    """Returns dtype and shape of one element of a space without members.

    Raises:
        ConfigError: the space's elements are not arrays.
    """
    if space.shape is None or space.dtype is None:
        raise ConfigError(f"{name!r} is {space}, whose elements are not arrays of numbers")
    return TensorSpec(name, np.dtype(space.dtype).name, tuple(space.shape))


def column_of(name: str, space: gym.Space[Any]) -> ColumnSpec:
    """Returns the recorded column of a space; only spaces of indices have bounds.

    A Box's bounds are not enforced: simulators overshoot them without harm to learning, while an
    index out of range crashes a learner.
    """
    tensor = tensor_of(name, space)
    low: float | None = None
    high: float | None = None
    if isinstance(space, gym.spaces.Discrete):
        low, high = float(space.start), float(int(space.start) + int(space.n) - 1)
    elif isinstance(space, gym.spaces.MultiBinary):
        low, high = 0.0, 1.0
    elif isinstance(space, gym.spaces.MultiDiscrete):
        low, high = float(space.start.min()), float((space.start + space.nvec).max() - 1)
    return ColumnSpec(tensor.name, tensor.dtype, tensor.shape, low, high)


def nest_columns(
    space: gym.Space[Any], columns: Mapping[str, Any], root: str = OBSERVATIONS
) -> Any:
    """Returns columns by path as the nested structure that RLlib keeps for a space."""
    return _nest(space, columns, root)


def _nest(space: gym.Space[Any], columns: Mapping[str, Any], path: str) -> Any:
    if isinstance(space, gym.spaces.Dict):
        return {
            key: _nest(member, columns, f"{path}/{key}") for key, member in space.spaces.items()
        }
    if isinstance(space, gym.spaces.Tuple):
        return tuple(
            _nest(member, columns, f"{path}/{index}") for index, member in enumerate(space.spaces)
        )
    return columns[path]


def nest_state(leaves: Mapping[str, Any]) -> Any:
    """Returns leaves by path as nested maps."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = leaf
    return tree
