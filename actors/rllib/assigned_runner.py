"""RLlib's own env runner, with environments that are reset as the learner assigns."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune.registry import (  # RLlib's own runners read it; there is no public API
    ENV_CREATOR,
    _global_registry,  # pyright: ignore[reportPrivateUsage]
)

from headrace.actors.connection.assignments import Reset
from headrace.actors.simulators.resets import OptionsKept, reset_arguments

_LEARNERS_KEY = "headrace"
"""The part of `env_config` meant for the learner's runner."""


class AssignedEnvRunner(SingleAgentEnvRunner):
    """Resets with the options of `assigned`, and once with its seed."""

    assigned = Reset()

    def assign(self, reset: Reset) -> None:
        """Sets how the next reset is done; force one with `sample(force_reset=True)`."""
        self.assigned = reset

    def _try_env_reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> Any:
        assigned, self.assigned = self.assigned, Reset(self.assigned.task, self.assigned.options)
        arguments = reset_arguments(
            seed if assigned.seed is None else assigned.seed, assigned.options
        )
        return super()._try_env_reset(**arguments)


def runner_config(config: AlgorithmConfig, environments: int) -> AlgorithmConfig:
    """Returns the learner's config, adapted to an actor's runner with this many environments."""
    own = config.copy(copy_frozen=False)
    env_config = {key: value for key, value in own.env_config.items() if key != _LEARNERS_KEY}
    env: Any = own.env
    creator = None
    if isinstance(env, str) and _global_registry.contains(ENV_CREATOR, env):
        creator = _global_registry.get(ENV_CREATOR, env)

    def make(context: Any) -> gym.Env[Any, Any]:
        if creator is not None:
            return OptionsKept(creator(context))
        if isinstance(env, str):
            return OptionsKept(gym.make(env, **env_config))
        return OptionsKept(env(context))

    own.environment(env=make, env_config=env_config)
    own.env_config = env_config  # `environment` merges, and would keep the learner's part
    return own.env_runners(
        env_runner_cls=AssignedEnvRunner,
        num_env_runners=0,
        num_envs_per_env_runner=environments,
        batch_mode="truncate_episodes",
        episodes_to_numpy=False,
    )
