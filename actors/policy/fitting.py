"""Fits what simulators return to the tensors that the policy's graph declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.protocol.arrays import Array, array_of
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import IndexRange, TensorSpec, numpy_dtype

_NUMBERS = "biuf"
_SAME_ENVIRONMENT = "do both use the same environment?"


def fit_rows(name: str, rows: Array, spec: TensorSpec) -> Array:
    """Returns rows in the dtype of a tensor.

    Gymnasium only warns of observations in another dtype than their space's, and RLlib trains on
    them. A conversion is safe from float to float, from integers to floats, and between integers
    wherever the values fit.

    Args:
        name: what the rows are, for the error message.

    Raises:
        ConfigError: the shape is another one, or the conversion would change values.
    """
    dtype = numpy_dtype(spec)
    if rows.shape[1:] != spec.shape:
        raise ConfigError(_differs(name, rows, spec))
    if rows.dtype == dtype:
        return rows
    if not _is_safe(rows, dtype):
        raise ConfigError(_differs(name, rows, spec))
    return rows.astype(dtype)


def require_range(name: str, rows: Array, allowed: IndexRange) -> None:
    """Checks indices and flags, which a graph would not: it sees nothing where one is too large.

    Raises:
        ConfigError: one is outside of its space.
    """
    low, high = (
        np.array(bound) if len(bound) == 1 else np.reshape(bound, rows.shape[1:])
        for bound in (allowed.low, allowed.high)
    )
    outside = (rows < low) | (rows > high)
    if outside.any():
        raise ConfigError(
            f"the simulator's {name!r} is {rows[outside].flat[0]}, outside its space, which begins "
            f"at {min(allowed.low)} and ends at {max(allowed.high)}"
        )


def row_of(name: str, value: Any, spec: TensorSpec) -> Array:
    """Returns one value, which may consist of lists and numbers, as one row of a tensor.

    Raises:
        ConfigError: it does not fit.
    """
    return fit_rows(name, array_of(name, value)[None], spec)


def require_leaves(
    found: Mapping[str, Array], wanted: Mapping[str, TensorSpec]
) -> Mapping[str, Array]:
    """Returns the leaves of rows of an observation, by the paths that a graph takes.

    A tuple of numbers in place of an array is one leaf; a Tuple space has a path for each member.

    Raises:
        ConfigError: the paths differ.
    """
    if found.keys() == wanted.keys():
        return found
    joined = dict(found)
    for path in wanted.keys() - found.keys():
        members = [f"{path}/{index}" for index in range(len(found))]
        members = [member for member in members if member in joined]
        rows = [joined.pop(member) for member in members]
        if rows and all(row.shape == rows[0].shape for row in rows):
            joined[path] = np.stack(rows, axis=1)
    if joined.keys() != wanted.keys():
        raise ConfigError(
            f"the simulator's observation has {sorted(found)}, the learner's policy expects "
            f"{sorted(wanted)}: {_SAME_ENVIRONMENT}"
        )
    return joined


def _is_safe(rows: Array, dtype: np.dtype[Any]) -> bool:
    if rows.dtype.kind not in _NUMBERS or dtype.kind not in _NUMBERS:
        return False
    if np.can_cast(rows.dtype, dtype) or dtype.kind == "f":
        return True
    if rows.dtype.kind not in "biu" or dtype.kind == "b":
        return False
    limits = np.iinfo(dtype)
    return not rows.size or bool(rows.min() >= limits.min and rows.max() <= limits.max)


def _differs(name: str, rows: Array, spec: TensorSpec) -> str:
    return (
        f"the simulator's {name!r} is {_described(rows)}, the learner's policy expects "
        f"{spec.dtype} of shape {spec.shape}: {_SAME_ENVIRONMENT}"
    )


def _described(rows: Array) -> str:
    described = f"{rows.dtype} of shape {rows.shape[1:]}"
    if rows.dtype.kind in "iu" and rows.size:
        return f"{described} with values from {rows.min()} to {rows.max()}"
    return described
