"""headrace's part of an RLlib config."""

from __future__ import annotations

import msgspec
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from headrace.learner.config import CONFIG_KEY, RunnerConfig
from headrace.protocol.errors import ConfigError


def runner_config_of(config: AlgorithmConfig) -> RunnerConfig:
    """Returns headrace's part of `env_config`.

    Raises:
        ConfigError: a key or a value is invalid.
    """
    try:
        return msgspec.convert(config.env_config.get(CONFIG_KEY, {}), RunnerConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"env_config[{CONFIG_KEY!r}]: {error}") from error
