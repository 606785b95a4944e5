"""Finds mistakes in a run's settings before Ray starts, and says them in one sentence."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from headrace.learner.runner.environment_values import plain_config
from headrace.learner.runner.multi_agent_setup import MultiAgentSetup
from headrace.learner.runner.runner_config import runner_config_of
from headrace.learner.runner.settings_without_effect import refuse_settings_without_effect
from headrace.learner.runner.single_agent_setup import SingleAgentSetup
from headrace.learner.training.ray_errors import advice_of, cause_of
from headrace.protocol.errors import ConfigError, HeadraceError

_KINDS: Mapping[type, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    # RLlib takes schedules as lists in place of many numbers.
    int: ("a number", (int, float, list)),
    float: ("a number", (int, float, list)),
    str: ("a text", (str,)),
    list: ("a list", (list,)),
    tuple: ("a list", (list,)),
    dict: ("a table", (dict,)),
}
_AUTO = "auto"
"""RLlib's default of numbers that it finds out."""
_TAKE_AUTO = frozenset({"evaluation_duration"})
_OPTIONAL_NUMBERS = frozenset({"grad_clip", "evaluation_interval", "minibatch_size"})
"""Numbers whose default is None."""
_POSITIVE = frozenset(
    {
        *("lr", "minibatch_size", "num_epochs", "train_batch_size_per_learner", "max_seq_len"),
        *("evaluation_interval", "num_envs_per_env_runner"),
    }
)
_WHOLE = frozenset(
    {
        *("minibatch_size", "num_epochs", "train_batch_size_per_learner", "max_seq_len"),
        *("num_env_runners", "num_envs_per_env_runner", "num_learners"),
        *("evaluation_interval", "evaluation_num_env_runners"),
    }
)
_FRACTIONS = frozenset({"gamma", "lambda_"})
_OF_ANY_SIGN = frozenset({"target_entropy"})


@contextlib.contextmanager
def refused_by_rllib(where: str) -> Generator[None]:
    """Turns an exception of RLlib into a ConfigError.

    Args:
        where: the settings that RLlib was given.
    """
    try:
        yield
    except HeadraceError:
        raise
    except Exception as error:  # RLlib raises errors of many kinds
        raise ConfigError(
            f"RLlib does not accept {where}: {cause_of(error)}{advice_of(error)}"
        ) from error


def require_kinds(settings: Mapping[str, Any], defaults: Any, where: str) -> None:
    """Compares settings with the kinds of their defaults, which RLlib rarely checks.

    Args:
        defaults: has an attribute for each setting that is checked.

    Raises:
        ConfigError: one is of another kind, such as a text in place of a number.
    """
    for key, value in settings.items():
        fault = _fault(key, value, getattr(defaults, key, None))
        if fault is not None:
            raise ConfigError(f"{where} {key} = {value!r} {fault}")


def _fault(key: str, value: Any, default: Any) -> str | None:
    """Returns what is wrong with a setting, None if it is of its default's kind."""
    is_flag = isinstance(value, bool)
    kind = _kind(key, value, default)
    if kind is not None:
        name, accepted = kind
        # Python's flags are numbers, too.
        if not isinstance(value, accepted) or (is_flag and bool not in accepted):
            return f"is not {name}"
    if is_flag or not isinstance(value, int | float):
        return None
    return _fault_of_number(key, value, default)


def _kind(key: str, value: Any, default: Any) -> tuple[str, tuple[type, ...]] | None:
    """Returns the name and the types of what a setting may be, None for anything."""
    if value == _AUTO and key in _TAKE_AUTO:
        return None
    if default == _AUTO and value != _AUTO:
        return _KINDS[int]
    if default is None and key in _OPTIONAL_NUMBERS and value is not None:
        return _KINDS[int]
    if isinstance(default, list) and isinstance(value, int | float):
        return _KINDS[int]  # a schedule with one value
    return _KINDS.get(type(default))


def _fault_of_number(key: str, value: float, default: Any) -> str | None:
    if not math.isfinite(value) and not (isinstance(default, float) and math.isinf(default)):
        return "is not a finite number"
    if key in _WHOLE and value != int(value):
        return "is not a whole number"
    if key in _POSITIVE and value <= 0:
        return "is not above 0"
    if key in _FRACTIONS and not 0 <= value <= 1:
        return "is not between 0 and 1"
    counts = default == _AUTO or (isinstance(default, int) and default >= 0)
    return "is negative" if counts and value < 0 and key not in _OF_ANY_SIGN else None


def check_config(config: AlgorithmConfig) -> None:
    """Makes what a runner makes of a config: environment, connectors and modules. Needs no Ray.

    Raises:
        ConfigError: it cannot work; the message says what to write.
    """
    with refused_by_rllib("[learner.training]"):
        config.validate()
    refuse_settings_without_effect(config)
    plain_config(config.env_config)
    setup = MultiAgentSetup if config.is_multi_agent else SingleAgentSetup
    setup(config, runner_config_of(config).policy)
