"""A common interface to single and vectorised Gymnasium environments."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Protocol, cast

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv

from headrace.actors.recording.rows import action_of_one, observation_leaves, rows_of_one
from headrace.actors.recording.step_result import StepResult
from headrace.actors.simulators.gymnasium_steps import CheckedSteps
from headrace.actors.simulators.resets import OptionsKept, ResetOptions
from headrace.actors.simulators.space_observations import SpaceObservations
from headrace.protocol.arrays import Array
from headrace.protocol.environment_ids import is_function
from headrace.protocol.errors import ConfigError
from headrace.protocol.nested_actions import Actions
from headrace.protocol.simulator_errors import making

_FUNCTION_ID = "Function-v0"
"""The id that an environment of a function gets."""
_WRAPPERS = (CheckedSteps, SpaceObservations, OptionsKept)


class Environment(Protocol):
    """The n environments that the collector steps together."""

    count: int

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> dict[str, Array]:
        """Returns the first observations, [n, …] by path.

        Args:
            options: for this reset and all later ones; None keeps the previous options.
        """
        ...

    def step(self, actions: Actions) -> StepResult:
        """Steps all environments; one that ends is reset, now or in the next step."""
        ...

    def close(self) -> None:
        """Frees the environments."""
        ...


class SingleEnvironment:
    """One Gymnasium environment, reset in the step that ends an episode."""

    count = 1

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env: gymnasium.Env[Any, Any] = OptionsKept(CheckedSteps(env))

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> dict[str, Array]:
        """Returns the first observation, as one row."""
        given = None if options is None else dict(options)
        observation, _ = self._env.reset(seed=seed, options=given)
        return rows_of_one(observation)

    def step(self, actions: Actions) -> StepResult:
        """Steps the environment with the only row of `actions`."""
        observation, reward, terminated, truncated, info = self._env.step(action_of_one(actions))
        final: dict[int, dict[str, Array]] = {}
        if terminated or truncated:
            final[0] = observation_leaves(observation)
            observation, _ = self._env.reset()
        return StepResult(
            rows_of_one(observation),
            np.array([reward]),
            np.array([terminated]),
            np.array([truncated]),
            final,
            infos={key: (value,) for key, value in info.items()},
        )

    def close(self) -> None:
        """Closes the environment."""
        cast("Any", self._env).close()


class VectorEnvironment:
    """A Gymnasium vector environment, in either autoreset mode that is not DISABLED.

    Its environments must keep the options of a reset for their autoresets, as `OptionsKept` does.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self._mode = AutoresetMode(mode)
        if self._mode is AutoresetMode.DISABLED:
            raise ConfigError(
                "the vector environment has autoreset disabled; make it with autoreset_mode "
                "AutoresetMode.SAME_STEP or AutoresetMode.NEXT_STEP"
            )
        self._env = env
        self.count = env.num_envs
        self._ended = np.zeros(env.num_envs, bool)

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> dict[str, Array]:
        """Returns the first observations."""
        observations, _ = self._reset(seed, None if options is None else dict(options))
        self._ended = np.zeros(self.count, bool)
        return observation_leaves(observations)

    def step(self, actions: Actions) -> StepResult:
        """Steps all environments."""
        observations, rewards, terminated, truncated, infos = self._step(actions)
        resets_now = self._mode is AutoresetMode.SAME_STEP
        is_reset_step = None if resets_now else self._ended
        self._ended = terminated | truncated
        return StepResult(
            observation_leaves(observations),
            np.array(rewards, np.float64),
            np.array(terminated),
            np.array(truncated),
            self._final_observations(infos),
            is_reset_step,
            infos,
        )

    def close(self) -> None:
        """Closes all environments."""
        self._env.close()

    def _reset(
        self, seed: int | None, options: dict[str, Any] | None
    ) -> tuple[Any, dict[str, Any]]:
        return self._env.reset(seed=seed, options=options)

    def _step(self, actions: Actions) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        return self._env.step(actions)

    def _final_observations(self, infos: Mapping[str, Any]) -> dict[int, dict[str, Array]]:
        if self._mode is not AutoresetMode.SAME_STEP or not self._ended.any():
            return {}
        finals = infos["final_obs"]
        final: dict[int, dict[str, Array]] = {}
        for index in np.flatnonzero(self._ended).tolist():
            final[index] = observation_leaves(finals[index])
        return final


class ProcessEnvironment(VectorEnvironment):
    """Environments in separate processes, which may hang or die."""

    def __init__(self, env: AsyncVectorEnv, timeout_s: float) -> None:
        super().__init__(env)
        self._processes = env
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Terminates the processes, even if they hang."""
        self._processes.close(terminate=True)

    def _reset(
        self, seed: int | None, options: dict[str, Any] | None
    ) -> tuple[Any, dict[str, Any]]:
        self._processes.reset_async(seed=seed, options=options)
        return self._processes.reset_wait(self._timeout_s)

    def _step(self, actions: Actions) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self._processes.step_async(actions)
        return self._processes.step_wait(self._timeout_s)


def make_environment(
    env_id: str, count: int, config: Mapping[str, Any], *, timeout_s: float | None = None
) -> Environment:
    """Returns `count` environments of a Gymnasium id; `module:Id-v0` imports `module` first.

    Args:
        env_id: or `package:function`, a function or class that makes an environment.
        timeout_s: how long a step or a reset may take. With it, each environment runs in its own
            process, since a hanging one cannot be interrupted otherwise. A step that takes longer,
            or whose process dies, raises.

    Raises:
        ConfigError: Gymnasium does not know the id, or making the environment raises.
    """
    # A spec, since Gymnasium imports its entry point in each process that makes one.
    name = EnvSpec(_FUNCTION_ID, env_id) if is_function(env_id) else env_id
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    make_vector = functools.partial(
        gymnasium.make_vec, name, num_envs=count, wrappers=_WRAPPERS, **config
    )
    with making(env_id):
        if timeout_s is not None:
            # Not forked: this process has threads, and a fork would copy their locks as they are.
            kwargs = {**same_step, "context": "spawn"}
            made = make_vector(vectorization_mode="async", vector_kwargs=kwargs)
            return ProcessEnvironment(cast("AsyncVectorEnv", made), timeout_s)
        if count == 1:
            return SingleEnvironment(gymnasium.make(name, **config))
        return VectorEnvironment(make_vector(vectorization_mode="sync", vector_kwargs=same_step))
