"""The entries of a simulator's info dict that the learner asks for, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.actors.recording.step_result import StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.trajectory import INFOS

_FINAL = "final_info"
"""Gymnasium's key for the infos of episodes that ended; the other infos are of the resets."""


def info_columns(keys: Sequence[str], step: StepResult) -> dict[str, Array]:
    """Returns a float64 column [n] for each key; NaN where the simulator gave no value.

    Raises:
        ConfigError: a value is not a number.
    """
    columns: dict[str, Array] = {}
    ended = step.terminated | step.truncated
    for key in keys:
        columns[f"{INFOS}/{key}"] = values = np.full(len(ended), np.nan)
        if _FINAL in step.infos:
            _fill(values, ~ended, key, step.infos)
            _fill(values, ended, key, step.infos[_FINAL])
        else:
            _fill(values, np.ones(len(ended), bool), key, step.infos)
    return columns


def blank_infos(keys: Sequence[str]) -> dict[str, Array]:
    """Returns the columns of one step whose infos are not known yet."""
    return {f"{INFOS}/{key}": np.full(1, np.nan) for key in keys}


def info_numbers(keys: Sequence[str], info: Mapping[str, Any]) -> dict[str, float]:
    """Returns the values of these keys that a simulator's info dict contains.

    Raises:
        ConfigError: a value is not a number.
    """
    numbers: dict[str, float] = {}
    for key in keys:
        if key not in info:
            continue
        try:
            numbers[key] = float(info[key])
        except (TypeError, ValueError) as error:
            raise _no_number(key, info[key]) from error
    return numbers


def _fill(values: Array, where: Array, key: str, infos: Mapping[str, Any]) -> None:
    if key not in infos:
        return
    present = where & infos.get(f"_{key}", True)
    try:
        values[present] = np.asarray(infos[key])[present].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _no_number(key, infos[key]) from error


def _no_number(key: str, value: Any) -> ConfigError:
    return ConfigError(
        f"the learner asks for the info {key!r}, which is not a number here: "
        f"{value!r:.80}; remove it from infos"
    )
