"""The numbers in an RLlib result, by path."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_LEFT_OUT = frozenset({"config", "date", "hostname", "node_ip", "pid", "timestamp", "trial_id"})
"""What RLlib adds that says nothing about the training."""
_MAX_VALUES = 2000


def numbers_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns all finite numbers of a result, such as `learners/default_policy/entropy`.

    At most 2,000, so that a metric for each of many agents does not fill the disk.
    """
    found: dict[str, float] = {}
    for path, value in _leaves(result, ""):
        if len(found) == _MAX_VALUES:
            break
        if math.isfinite(value):
            found[path] = value
    return found


def _leaves(tree: Mapping[str, Any], root: str) -> Iterator[tuple[str, float]]:
    for key, value in tree.items():
        path = f"{root}/{key}" if root else str(key)
        if not root and key in _LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        elif isinstance(value, bool | int | float | np.number) or _is_scalar(value):
            yield path, float(value)


def _is_scalar(value: Any) -> bool:
    """Returns whether a value is a tensor or an array with one number."""
    return getattr(value, "ndim", None) == 0 and hasattr(value, "item")
