"""The part of `env_config` that travels to actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.learner.config import CONFIG_KEY
from headrace.protocol.errors import ConfigError

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


def plain_config(env_config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an environment's keyword arguments as numbers, texts, lists and maps.

    NumPy's numbers become Python's; tuples, ranges and arrays become lists.

    Raises:
        ConfigError: a value is of another type; the message names its key.
    """
    return {
        _key(key, "env_config"): _plain(value, f"env_config[{key!r}]")
        for key, value in env_config.items()
        if key != CONFIG_KEY
    }


def _plain(value: Any, where: str) -> Any:
    match value:
        case None | bool() | str() | float():
            return value
        case int():
            return _integer(value, where)
        case np.bool_() | np.integer() | np.floating():
            return _plain(value.item(), where)
        case np.ndarray():
            return _plain(value.tolist(), where)
        case Mapping():
            return {
                _key(key, where): _plain(member, f"{where}[{key!r}]")
                for key, member in value.items()
            }
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(member, f"{where}[{index}]") for index, member in enumerate(value)]
        case _:
            raise ConfigError(
                f"{where} is {type(value).__name__}, which cannot be sent to actors: use numbers, "
                "texts, lists and maps, or let each actor make its own environment (--env, or a "
                "simulator of your own) and give the learner its spaces"
            )


def _integer(value: int, where: str) -> int:
    if not _LOWEST <= value <= _HIGHEST:
        raise ConfigError(f"{where} is {value}, which is beyond 64 bits")
    return value


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise ConfigError(f"{where} has the key {key!r}; keys that are sent to actors are texts")
    return key
