"""Reads the rewards and flags that simulators return, in whatever dress Python gives scalars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.protocol.arrays import Array, array_or_none
from headrace.protocol.errors import ConfigError, shortened


def reward_of(value: Any) -> float:
    """Returns a reward as a number.

    Raises:
        ConfigError: it is not one number, such as None, a text, or a vector of objectives.
    """
    array = array_or_none(value)
    if array is None or array.ndim or array.dtype.kind not in "biuf":
        raise ConfigError(
            f"the simulator's reward is {_shown(value)}; a reward is one number, such as 1.0"
        )
    return float(array)


def flag_of(name: str, value: Any) -> bool:
    """Returns a flag, also from 0 or 1; an array with one element is its element.

    Args:
        name: `terminated` or `truncated`.

    Raises:
        ConfigError: it is neither true nor false.
    """
    if value is True or value is False:
        return value
    array = array_or_none(value)
    if array is None or array.size != 1 or not _are_flags(array):
        raise ConfigError(f"the simulator's {name!r} is {_shown(value)}; write True or False")
    return bool(array.item())


def rewards_of(values: Any, count: int) -> Array:
    """Returns the rewards of n environments as float64.

    Raises:
        ConfigError: they are not n numbers.
    """
    array = _array_of_each(values, count, "biuf")
    if array is None:
        raise ConfigError(
            f"the simulators' rewards are {_shown(values)}; they are {count} numbers, one per "
            "environment"
        )
    return array.astype(np.float64)


def flags_of(name: str, values: Any, count: int) -> Array:
    """Returns a flag of each of n environments as bool; copied.

    Raises:
        ConfigError: they are not n flags.
    """
    array = _array_of_each(values, count, "biu")
    if array is None or not _are_flags(array):
        raise ConfigError(
            f"the simulators' {name!r} is {_shown(values)}; it is {count} flags, one per "
            "environment"
        )
    return array.astype(bool)


def rewards_by_agent(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns rewards by agent as numbers; raises as `reward_of` does, with the agent's name."""
    rewards: dict[str, float] = {}
    for agent, value in values.items():
        try:
            rewards[agent] = reward_of(value)
        except ConfigError as error:
            raise ConfigError(f"agent {agent!r}: {error}") from error
    return rewards


def _array_of_each(values: Any, count: int, kinds: str) -> Array | None:
    """Returns the values of n environments, None if they are not n of these kinds."""
    array = array_or_none(values)
    fits = array is not None and array.shape == (count,) and array.dtype.kind in kinds
    return array if fits else None


def _are_flags(array: Array) -> bool:
    kind = array.dtype.kind
    return kind == "b" or (kind in "iu" and bool(((array == 0) | (array == 1)).all()))


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return shortened(repr(value))
