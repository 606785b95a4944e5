"""The spaces of a run's simulators: as configured, or those of the configured environment."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.tune.registry import (  # RLlib's own runners read it; there is no public API
    ENV_CREATOR,
    _global_registry,  # pyright: ignore[reportPrivateUsage]
)

from headrace.learner.config import CONFIG_KEY
from headrace.protocol.environment_ids import is_function
from headrace.protocol.errors import ConfigError
from headrace.protocol.simulator_errors import making


def simulator_spaces(config: AlgorithmConfig) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Returns the spaces of observations and actions; with several agents, Dicts by agent id.

    Raises:
        ConfigError: neither spaces nor an environment are configured, or the environment cannot
            be made.
    """
    if config.observation_space is not None and config.action_space is not None:
        return config.observation_space, config.action_space
    if config.env is None:
        raise ConfigError(
            "the learner needs the spaces of its simulators: set "
            ".environment(observation_space=…, action_space=…), or a Gymnasium id"
        )
    env = _make(config)
    try:
        if config.is_multi_agent:
            return agent_spaces(env)
        spaces = getattr(env, "observation_space", None), getattr(env, "action_space", None)
        if isinstance(env, type) or not all(isinstance(space, gym.Space) for space in spaces):
            made = f"the class {env.__name__}" if isinstance(env, type) else type(env).__name__
            raise ConfigError(
                f"{config.env!r} makes {made}, which is no Gymnasium environment: it has no "
                "observation_space and action_space"
            )
        return cast("tuple[gym.Space[Any], gym.Space[Any]]", spaces)
    finally:
        close_quietly(env)


def close_quietly(env: Any) -> None:
    """Closes an environment that was made for its spaces alone; what it raises does not matter."""
    with contextlib.suppress(Exception):
        env.close()


def agent_spaces(env: Any) -> tuple[gym.spaces.Dict, gym.spaces.Dict]:
    """Returns the spaces of an RLlib MultiAgentEnv, or of a PettingZoo environment, by agent id.

    Raises:
        ConfigError: the environment does not list its agents in advance.
    """
    env = getattr(env, "unwrapped", env)
    agents = getattr(env, "possible_agents", None)
    if not agents:
        raise ConfigError(
            f"{type(env).__name__} does not list its possible_agents; give the spaces by agent "
            "id: .environment(observation_space=Dict(…), action_space=Dict(…))"
        )
    if hasattr(env, "get_observation_space"):
        observation, action = env.get_observation_space, env.get_action_space
    else:
        observation, action = env.observation_space, env.action_space
    return (
        gym.spaces.Dict({agent: observation(agent) for agent in agents}),
        gym.spaces.Dict({agent: action(agent) for agent in agents}),
    )


@dataclass(frozen=True)
class FunctionEnvironment:
    """Makes what `package:function` makes, from an `env_config` as RLlib passes it."""

    source: str

    def __call__(self, env_config: Mapping[str, Any]) -> Any:
        """Returns an environment."""
        kwargs = {key: value for key, value in env_config.items() if key != CONFIG_KEY}
        return load_env_creator(self.source)(**kwargs)


def environment_kwargs(config: AlgorithmConfig) -> dict[str, Any]:
    """Returns the part of `env_config` meant for the environment."""
    return {key: value for key, value in config.env_config.items() if key != CONFIG_KEY}


def without_learners_part(config: AlgorithmConfig) -> AlgorithmConfig:
    """Returns a copy of a config for actors, with spaces and without the learner's settings.

    Raises:
        ConfigError: neither spaces nor an environment are configured.
    """
    observation_space, action_space = simulator_spaces(config)
    own = config.copy(copy_frozen=False)
    own.environment(observation_space=observation_space, action_space=action_space)
    own.env_config = environment_kwargs(config)  # `environment` would merge
    return own


def _make(config: AlgorithmConfig) -> Any:
    with making(str(getattr(config.env, "__name__", config.env))):
        return _make_unchecked(config)


def _make_unchecked(config: AlgorithmConfig) -> Any:
    kwargs = environment_kwargs(config)
    if isinstance(config.env, str) and _global_registry.contains(ENV_CREATOR, config.env):
        return _global_registry.get(ENV_CREATOR, config.env)(kwargs)
    if isinstance(config.env, str) and is_function(config.env):
        return FunctionEnvironment(config.env)(kwargs)
    if isinstance(config.env, str):
        return gym.make(config.env, **kwargs)
    return cast("Any", config.env)(kwargs)
