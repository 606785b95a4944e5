"""Observations of vector environments, which Gymnasium copies into its own arrays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from headrace.actors.simulators.environments import VectorEnvironment
from headrace.actors.simulators.space_observations import SpaceObservations, fit_to_space
from headrace.protocol.errors import ConfigError

LENGTH = 3
ACTIONS = np.zeros(2, np.int64)


class Counting(gymnasium.Env[Any, Any]):
    """Counts its steps in an observation that it reuses, or returns what it is given."""

    def __init__(self, dtype: Any, observed: Any = None) -> None:
        self.observation_space = spaces.Box(-100, 100, (2,), dtype)
        self.action_space = spaces.Discrete(2)
        self._observed = observed
        self._seen = np.zeros(2, dtype)
        self._t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._t = 0
        self._seen[:] = 0
        return self._seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        self._seen[:] = self._t
        seen = self._seen if self._observed is None else self._observed
        return seen, 1.0, False, self._t == LENGTH, {}


def vector_of(dtype: Any, observed: Any = None) -> VectorEnvironment:
    env = SyncVectorEnv(
        [lambda: SpaceObservations(Counting(dtype, observed))] * 2,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    return VectorEnvironment(env)


def test_the_last_observation_of_an_episode_is_not_that_of_the_next_reset() -> None:
    environment = vector_of(np.float32)
    environment.reset(None)
    steps = [environment.step(ACTIONS) for _ in range(LENGTH)]
    assert steps[-1].final_observations[0]["obs"].tolist() == [3.0, 3.0]
    assert steps[-1].observations["obs"].tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize("observed", [np.array([200, 0]), [0.5, 0.5], np.zeros(3), [[1], [2, 3]]])
def test_what_a_space_cannot_hold_is_an_error_that_names_the_leaf(observed: Any) -> None:
    environment = vector_of(np.int8, observed)
    environment.reset(None)
    with pytest.raises(ConfigError, match="the simulator's 'obs' is"):
        environment.step(ACTIONS)


def test_nested_observations_are_copied_in_the_dtypes_of_their_space() -> None:
    space = spaces.Dict({"a": spaces.Tuple([spaces.Box(0, 1, (1,)), spaces.Discrete(3)])})
    given = {"a": (np.array([0.5]), 2)}
    fitted = fit_to_space(given, space)
    assert fitted["a"][0].dtype == np.float32
    assert fitted["a"][0] is not given["a"][0]
    assert (fitted["a"][0].tolist(), int(fitted["a"][1])) == ([0.5], 2)


def test_members_that_are_missing_are_named() -> None:
    space = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Tuple([spaces.Discrete(2)])})
    with pytest.raises(ConfigError, match=r"'obs' is dict, .* says a dict of \['a', 'b'\]"):
        fit_to_space({"a": 1}, space)
    with pytest.raises(ConfigError, match=r"'obs/b' is int, .* says a tuple of 1"):
        fit_to_space({"a": 1, "b": 1}, space)
    text = spaces.Text(3)
    assert fit_to_space("abc", text) == "abc"
