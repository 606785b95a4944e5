"""The entries of a simulator's info dict that the learner asks for, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.actors.recording.step_result import StepResult
from headrace.protocol.arrays import Array, array_or_none
from headrace.protocol.errors import ConfigError, shortened
from headrace.protocol.trajectory import INFOS

_FINAL = "final_info"
"""Gymnasium's key for the infos of episodes that ended; the other infos are of the resets.

As its other keys of vector environments, it has a mask. An environment may use the name itself.
"""


def info_columns(keys: Sequence[str], step: StepResult) -> dict[str, Array]:
    """Returns a float64 column [n] for each key; NaN where the simulator gave no value.

    Raises:
        ConfigError: a value is not a number.
    """
    columns: dict[str, Array] = {}
    ended = step.terminated | step.truncated
    for key in keys:
        columns[f"{INFOS}/{key}"] = values = np.full(len(ended), np.nan)
        if _mask_of(_FINAL, step.infos) is not None:
            _fill(values, ~ended, key, step.infos)
            _fill(values, ended, key, step.infos[_FINAL])
        else:
            _fill(values, np.ones(len(ended), bool), key, step.infos)
    return columns


def blank_infos(keys: Sequence[str]) -> dict[str, Array]:
    """Returns the columns of one step whose infos are not known yet."""
    return {f"{INFOS}/{key}": np.full(1, np.nan) for key in keys}


def info_numbers(keys: Sequence[str], info: Any) -> dict[str, float]:
    """Returns the values of these keys that a simulator's info dict contains; None is no value.

    Raises:
        ConfigError: a value is not a number, or the info is not a dict.
    """
    found = require_info(info)
    return {key: _number(key, found[key]) for key in keys if found.get(key) is not None}


def numbers_by_agent(keys: Sequence[str], infos: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Returns what `info_numbers` does for those agents that have any; raises as it does."""
    found = {agent: info_numbers(keys, info) for agent, info in infos.items()}
    return {agent: numbers for agent, numbers in found.items() if numbers}


def require_info(info: Any) -> Mapping[str, Any]:
    """Returns a simulator's info dict; an empty one for None.

    Raises:
        ConfigError: it is not a dict.
    """
    if info is None:
        return {}
    if not isinstance(info, Mapping):
        raise ConfigError(f"the simulator's info is {shortened(repr(info))}; it is a dict")
    return info


def _fill(values: Array, where: Array, key: str, infos: Mapping[str, Any]) -> None:
    if key not in infos:
        return
    mask = _mask_of(key, infos)
    present = where if mask is None else where & mask
    for index in np.flatnonzero(present).tolist():
        value = infos[key][index]
        if value is not None:
            values[index] = _number(key, value)


def _mask_of(key: str, infos: Mapping[str, Any]) -> Array | None:
    """Returns the mask that Gymnasium's vector environments add, None without one."""
    mask = infos.get(f"_{key}")
    return mask if isinstance(mask, np.ndarray) and mask.dtype == bool else None


def _number(key: str, value: Any) -> float:
    array = array_or_none(value)
    if array is None or array.size != 1 or array.dtype.kind not in "biuf":
        raise ConfigError(
            f"the learner asks for the info {key!r}, which is not a number here: "
            f"{shortened(repr(value), 80)}; remove it from infos"
        )
    return float(array.item())
