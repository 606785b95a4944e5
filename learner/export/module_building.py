"""Builds RLlib's modules, and says what to write where RLlib has none for the spaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np

from headrace.learner.spaces import leaf_spaces
from headrace.protocol.errors import ConfigError, HeadraceError, first_line
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS

Built = TypeVar("Built")
_IMAGE_AXES = 3
_ENCODE = "let the simulator return numbers, for instance with a Gymnasium wrapper"


def build_module(
    build: Callable[[], Built], observation: gym.Space[Any], action: gym.Space[Any]
) -> Built:
    """Returns what `build` returns.

    Args:
        observation, action: the module's spaces.

    Raises:
        ConfigError: RLlib or the user's own module cannot be built.
    """
    try:
        return build()
    except HeadraceError:
        raise
    except Exception as error:  # the user's own modules may raise anything
        advice = _advice(observation, action) or "see [learner.model]"
        raise ConfigError(
            f"cannot build the RLModule for these spaces: {first_line(error)}: {advice}"
        ) from error


def require_numbers(observation: gym.Space[Any], action: gym.Space[Any]) -> None:
    """Raises ConfigError for spaces whose elements are not arrays of numbers."""
    for root, space in ((OBSERVATIONS, observation), (ACTIONS, action)):
        leaves = leaf_spaces(space, root)
        if not leaves:
            raise ConfigError(f"{root!r} is {_shown(space)}, which has no elements")
        for path, leaf in leaves.items():
            if leaf.shape is None or leaf.dtype is None or leaf.dtype.kind not in "fiub":
                raise ConfigError(
                    f"{path!r} is {_shown(leaf)}, which RLlib cannot learn from: {_ENCODE}"
                )
            if 0 in leaf.shape:
                raise ConfigError(
                    f"{path!r} is {_shown(leaf)}, which has no elements: leave it out"
                )
            # RLlib gives simulators arrays of shape (1,) for it, which are not in the space.
            if root == ACTIONS and isinstance(leaf, gym.spaces.Box) and leaf.shape == ():
                raise ConfigError(f"{path!r} is {_shown(leaf)}, which has no axes: use shape (1,)")


def _advice(observation: gym.Space[Any], action: gym.Space[Any]) -> str | None:
    """Returns what to write for the spaces that RLlib's default modules do not take."""
    if isinstance(observation, gym.spaces.Dict | gym.spaces.Tuple):
        return (
            "write flatten_observations = true under [learner] (in a script, RLlib's connector "
            "FlattenObservations)"
        )
    if observation.shape == ():
        return f"{_shown(observation)} has no axes: use shape (1,)"
    if len(observation.shape or ()) == _IMAGE_AXES:
        return (
            f"RLlib has no default network for images of {_sizes(observation)}: write "
            "conv_filters under [learner.model], such as [[16, 4, 2], [32, 4, 2]], or resize them"
        )
    for path, leaf in leaf_spaces(action, ACTIONS).items():
        if isinstance(leaf, gym.spaces.MultiBinary):
            return f"{path!r} is {leaf}: use MultiDiscrete({[2] * math.prod(leaf.shape)})"
        if isinstance(leaf, gym.spaces.Box) and np.dtype(leaf.dtype).kind != "f":
            return f"{path!r} is {_shown(leaf)}: use MultiDiscrete, or a Box of float32"
    return None


def _sizes(space: gym.Space[Any]) -> str:
    return " x ".join(map(str, space.shape or ()))


def _shown(space: gym.Space[Any]) -> str:
    text = str(space)
    return text if len(text) <= 60 else type(space).__name__
