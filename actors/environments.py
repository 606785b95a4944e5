"""Gymnasium environments, single and vectorised, as one thing that n rows of actions step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from headrace.actors.recorder import StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.paths import flatten_paths
from headrace.protocol.trajectory import OBSERVATIONS


class Environment(Protocol):
    """What the collector steps."""

    count: int

    def reset(self, seed: int | None) -> dict[str, Array]:
        """Returns the first observations, [n, …] by path."""
        ...

    def step(self, actions: Array) -> StepResult:
        """Steps all environments; one that ends is reset, now or in the next step."""
        ...

    def close(self) -> None:
        """Frees the environments."""
        ...


def _rows_of_one(observation: Any) -> dict[str, Array]:
    leaves = flatten_paths(observation, OBSERVATIONS)
    return {path: np.array(leaf)[None] for path, leaf in leaves.items()}


def _rows(observations: Any) -> dict[str, Array]:
    leaves = flatten_paths(observations, OBSERVATIONS)
    return {path: np.array(leaf) for path, leaf in leaves.items()}


class SingleEnvironment:
    """One Gymnasium environment, reset in the step that ends an episode."""

    count = 1

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env

    def reset(self, seed: int | None) -> dict[str, Array]:
        """Returns the first observation, as one row."""
        observation, _ = self._env.reset(seed=seed)
        return _rows_of_one(observation)

    def step(self, actions: Array) -> StepResult:
        """Steps the environment with the only row of `actions`."""
        action = actions[0]
        observation, reward, terminated, truncated, _ = self._env.step(
            action if action.ndim else action.item()
        )
        final: dict[int, dict[str, Array]] = {}
        if terminated or truncated:
            leaves = flatten_paths(observation, OBSERVATIONS)
            final[0] = {path: np.array(leaf) for path, leaf in leaves.items()}
            observation, _ = self._env.reset()
        return StepResult(
            _rows_of_one(observation),
            np.array([reward], np.float64),
            np.array([terminated]),
            np.array([truncated]),
            final,
        )

    def close(self) -> None:
        """Closes the environment."""
        cast("Any", self._env).close()


class VectorEnvironment:
    """A Gymnasium vector environment, in either of the modes that reset by themselves."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self._mode = AutoresetMode(mode)
        if self._mode is AutoresetMode.DISABLED:
            raise ConfigError(
                "the vector environment never resets itself; make it with autoreset_mode "
                "AutoresetMode.SAME_STEP or AutoresetMode.NEXT_STEP"
            )
        self._env = env
        self.count = env.num_envs
        self._ended = np.zeros(env.num_envs, bool)

    def reset(self, seed: int | None) -> dict[str, Array]:
        """Returns the first observations."""
        observations, _ = self._env.reset(seed=seed)
        self._ended = np.zeros(self.count, bool)
        return _rows(observations)

    def step(self, actions: Array) -> StepResult:
        """Steps all environments."""
        observations, rewards, terminated, truncated, infos = self._env.step(actions)
        resets_now = self._mode is AutoresetMode.SAME_STEP
        is_reset_step = None if resets_now else self._ended
        self._ended = terminated | truncated
        return StepResult(
            _rows(observations),
            np.array(rewards, np.float64),
            np.array(terminated),
            np.array(truncated),
            self._final_observations(infos),
            is_reset_step,
        )

    def close(self) -> None:
        """Closes all environments."""
        self._env.close()

    def _final_observations(self, infos: Mapping[str, Any]) -> dict[int, dict[str, Array]]:
        if self._mode is not AutoresetMode.SAME_STEP or not self._ended.any():
            return {}
        finals = infos["final_obs"]
        final: dict[int, dict[str, Array]] = {}
        for index in np.flatnonzero(self._ended).tolist():
            leaves = flatten_paths(finals[index], OBSERVATIONS)
            final[index] = {path: np.array(leaf) for path, leaf in leaves.items()}
        return final


def make_environment(env_id: str, count: int, config: Mapping[str, Any]) -> Environment:
    """Returns `count` environments of a Gymnasium id; `module:Id-v0` imports `module` first.

    Raises:
        ConfigError: Gymnasium does not know the id, or does not take the keyword arguments.
    """
    try:
        if count == 1:
            return SingleEnvironment(gymnasium.make(env_id, **config))
        return VectorEnvironment(
            gymnasium.make_vec(
                env_id,
                num_envs=count,
                vectorization_mode="sync",
                vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
                **config,
            )
        )
    except (gymnasium.error.Error, ModuleNotFoundError, TypeError) as error:
        raise ConfigError(f"cannot make environment {env_id!r}: {error}") from error
