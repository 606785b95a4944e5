"""headrace's part of an RLlib config."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from headrace.learner.config import CONFIG_KEY, RunnerConfig
from headrace.protocol.errors import ConfigError
from headrace.protocol.spelling import nearest


def runner_config_of(config: AlgorithmConfig) -> RunnerConfig:
    """Returns headrace's part of `env_config`.

    Raises:
        ConfigError: a key or a value is invalid.
    """
    given = config.env_config.get(CONFIG_KEY, {})
    known = [field.name for field in msgspec.structs.fields(RunnerConfig)]
    for key in given if isinstance(given, Mapping) else ():
        if key not in known:
            hint = nearest(str(key), known)
            raise ConfigError(f"env_config[{CONFIG_KEY!r}] has an unknown key {key!r}; {hint}")
    try:
        return msgspec.convert(given, RunnerConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"env_config[{CONFIG_KEY!r}]: {error}") from error
