from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace.actors.recording.infos import info_columns
from headrace.actors.recording.step_result import StepResult
from headrace.protocol.errors import ConfigError


def column(infos: dict[str, Any], *, ended: tuple[bool, ...] = (False, False)) -> list[float]:
    """Returns the recorded column of `x`, with -1 for missing values."""
    count = len(ended)
    step = StepResult({}, np.zeros(count), np.array(ended), np.zeros(count, bool), {}, infos=infos)
    recorded: list[float] = np.nan_to_num(info_columns(["x"], step)["infos/x"], nan=-1.0).tolist()
    return recorded


def test_numbers_are_recorded_for_all_environments() -> None:
    assert column({"x": np.array([3, 4])}) == [3.0, 4.0]
    assert column({"x": (True,)}, ended=(False,)) == [1.0]


def test_missing_infos_are_absent() -> None:
    assert column({}) == [-1.0, -1.0]
    assert column({"x": np.array([3.0, 0.0]), "_x": np.array([True, False])}) == [3.0, -1.0]


def test_infos_of_an_ended_episode_count_and_not_those_of_the_reset() -> None:
    infos = {"x": np.array([1, 2]), "final_info": {"x": np.array([0, 9])}}
    assert column(infos, ended=(False, True)) == [1.0, 9.0]
    assert column({"x": np.array([1, 2]), "final_info": {}}, ended=(False, True)) == [1.0, -1.0]


def test_an_info_that_is_not_a_number_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="asks for the info 'x', which is not a number here"):
        column({"x": ("red", "red")})


def test_text_that_was_not_asked_for_is_ignored() -> None:
    assert column({"colour": ("red", "red")}) == [-1.0, -1.0]
