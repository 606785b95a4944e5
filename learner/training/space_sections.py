"""Makes the spaces that a run file describes."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np

from headrace.learner.training.run_sections import (
    BoxSpace,
    DictSpace,
    DiscreteSpace,
    MultiBinarySpace,
    MultiDiscreteSpace,
    SpaceSection,
    TupleSpace,
)
from headrace.protocol.errors import ConfigError, first_line

_MOST_ELEMENTS = 2**27


def space_of(section: SpaceSection) -> gym.Space[Any]:
    """Returns the space that a run file describes.

    Raises:
        ConfigError: Gymnasium does not accept the numbers.
    """
    try:
        match section:
            case BoxSpace():
                if math.prod(section.shape) > _MOST_ELEMENTS:
                    raise ValueError(f"it has more than {_MOST_ELEMENTS:,} elements")
                dtype = np.dtype(section.dtype).type
                low, high = np.asarray(section.low, dtype), np.asarray(section.high, dtype)
                return gym.spaces.Box(
                    np.broadcast_to(low, section.shape),
                    np.broadcast_to(high, section.shape),
                    section.shape,
                    dtype,
                )
            case DiscreteSpace():
                return gym.spaces.Discrete(section.n, start=section.start)
            case MultiDiscreteSpace():
                start = section.start or [0] * len(section.nvec)
                if len(start) != len(section.nvec):
                    raise ValueError("start and nvec differ in length")
                return gym.spaces.MultiDiscrete(section.nvec, start=start)
            case MultiBinarySpace():
                return gym.spaces.MultiBinary(section.n)
            case TupleSpace():
                return gym.spaces.Tuple([space_of(member) for member in section.spaces])
            case DictSpace():
                return gym.spaces.Dict(
                    {name: space_of(member) for name, member in section.spaces.items()}
                )
    except (TypeError, ValueError, AssertionError, OverflowError) as error:
        raise ConfigError(f"{section} is not a space: {first_line(error)}") from error
