"""Converts observations for requests to a policy server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.protocol.arrays import array_of
from headrace.protocol.trajectory import OBSERVATIONS


def observation_tree(observation: Any, path: str = OBSERVATIONS) -> Any:
    """Returns an observation in payload form: leaves as arrays, tuples as maps.

    Raises:
        ConfigError: a leaf is not an array.
    """
    if isinstance(observation, tuple):
        observation = dict(enumerate(observation))
    if not isinstance(observation, Mapping):
        return array_of(path, observation)
    return {
        str(key): observation_tree(value, f"{path}/{key}") for key, value in observation.items()
    }
