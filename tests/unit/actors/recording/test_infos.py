from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace.actors.recording.infos import info_columns, info_numbers
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
    mask = {"_final_info": np.array([False, True])}
    infos = {"x": np.array([1, 2]), "final_info": {"x": np.array([0, 9])}, **mask}
    assert column(infos, ended=(False, True)) == [1.0, 9.0]
    reset_only = {"x": np.array([1, 2]), "final_info": {}, **mask}
    assert column(reset_only, ended=(False, True)) == [1.0, -1.0]


def test_an_info_that_is_not_a_number_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="asks for the info 'x', which is not a number here"):
        column({"x": ("red", "red")})


@pytest.mark.parametrize("value", ["3", b"3", 1 + 2j, 10**400, np.datetime64("2026-01-01"), [1, 2]])
def test_a_value_that_only_converts_to_a_number_is_none(value: Any) -> None:
    with pytest.raises(ConfigError, match="which is not a number here"):
        column({"x": (value,)}, ended=(False,))
    with pytest.raises(ConfigError, match="which is not a number here"):
        info_numbers(["x"], {"x": value})


def test_none_is_no_value() -> None:
    assert column({"x": (None, 2.0)}) == [-1.0, 2.0]
    assert info_numbers(["x"], {"x": None}) == {}
    assert info_numbers(["x"], None) == {}


def test_an_environments_own_keys_may_look_like_gymnasiums() -> None:
    assert column({"x": (3.0,), "final_info": ({"x": 1.0},)}, ended=(True,)) == [3.0]
    assert column({"x": (3.0,), "_x": (False,)}, ended=(False,)) == [3.0]


def test_an_info_that_is_no_dict_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"the simulator's info is .*; it is a dict"):
        info_numbers(["x"], [("x", 1.0)])


def test_text_that_was_not_asked_for_is_ignored() -> None:
    assert column({"colour": ("red", "red")}) == [-1.0, -1.0]
