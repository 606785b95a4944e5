"""Fits observations to their space, before a vector environment copies them into its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium import spaces

from headrace.actors.policy.fitting import row_of
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import TensorSpec
from headrace.protocol.trajectory import OBSERVATIONS


class SpaceObservations(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Returns copies of observations in the dtypes of the space.

    Gymnasium's vector environments would wrap integers that do not fit, and keep the last
    observation of an episode where the next reset overwrites it.
    """

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Steps the environment.

        Raises:
            ConfigError: the observation does not fit the space.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        fitted = fit_to_space(observation, self.env.observation_space)
        return fitted, reward, terminated, truncated, info

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Resets the environment; raises what `step` does."""
        observation, info = self.env.reset(**arguments)
        return fit_to_space(observation, self.env.observation_space), info


def fit_to_space(observation: Any, space: gymnasium.Space[Any], path: str = OBSERVATIONS) -> Any:
    """Returns a copy of an observation, with leaves in the dtypes of a space.

    Raises:
        ConfigError: it does not fit; the message names the first difference.
    """
    match space:
        case spaces.Dict():
            if not isinstance(observation, Mapping) or observation.keys() != space.spaces.keys():
                raise _differs(path, observation, f"a dict of {list(space.spaces)}")
            return {
                key: fit_to_space(observation[key], member, f"{path}/{key}")
                for key, member in space.spaces.items()
            }
        case spaces.Tuple():
            count = len(space.spaces)
            if not isinstance(observation, tuple | list) or len(observation) != count:
                raise _differs(path, observation, f"a tuple of {count}")
            return tuple(
                fit_to_space(member, own, f"{path}/{index}")
                for index, (member, own) in enumerate(zip(observation, space.spaces, strict=True))
            )
        case spaces.Box() | spaces.Discrete() | spaces.MultiDiscrete() | spaces.MultiBinary():
            dtype = space.dtype.name if space.dtype is not None else "int64"
            row = row_of(path, observation, TensorSpec(path, dtype, tuple(space.shape or ())))
            return row[0]
        case _:
            return observation  # no policy takes it: the learner has said so


def _differs(path: str, observation: Any, wanted: str) -> ConfigError:
    return ConfigError(
        f"the simulator's {path!r} is {type(observation).__name__}, its observation_space says "
        f"{wanted}"
    )
