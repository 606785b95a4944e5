"""Converts observations for requests to a policy server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def observation_tree(observation: Any) -> Any:
    """Returns an observation in payload form: leaves as arrays, tuples as maps."""
    if isinstance(observation, Mapping):
        return {str(key): observation_tree(value) for key, value in observation.items()}
    if isinstance(observation, tuple):
        return {str(index): observation_tree(value) for index, value in enumerate(observation)}
    return np.asarray(observation)
