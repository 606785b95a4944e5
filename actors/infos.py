"""What a learner asks for of a simulator's info dict, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.actors.recorder import StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.trajectory import INFOS

_FINAL = "final_info"
"""Gymnasium's key for the infos of episodes that ended, beside those of the resets."""


def info_columns(keys: Sequence[str], step: StepResult) -> dict[str, Array]:
    """Returns a float64 column [n] for each key; NaN where the simulator said nothing.

    Raises:
        ConfigError: it said something that is no number.
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


def _fill(values: Array, where: Array, key: str, infos: Mapping[str, Any]) -> None:
    if key not in infos:
        return
    present = where & infos.get(f"_{key}", True)
    try:
        values[present] = np.asarray(infos[key])[present].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the learner asks for the info {key!r}, which is no number here: "
            f"{infos[key]!r:.80}; take it out of infos"
        ) from error
