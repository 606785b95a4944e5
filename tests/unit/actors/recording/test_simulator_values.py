"""Rewards and flags in whatever dress Python gives scalars."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from headrace.actors.recording.simulator_values import (
    flag_of,
    flags_of,
    reward_of,
    rewards_by_agent,
    rewards_of,
)
from headrace.protocol.errors import ConfigError


@pytest.mark.parametrize(
    "value", [1, 1.0, True, np.float32(1), np.int64(1), np.array(1.0), np.bool_(True)]
)
def test_a_reward_is_any_single_number(value: Any) -> None:
    assert reward_of(value) == 1.0
    assert type(reward_of(value)) is float


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "None"),
        ("1", "'1'"),
        (np.ones(1), "float64 of shape (1,)"),
        ([0.5, -1.0], "[0.5, -1.0]"),
        (np.ones(2, np.float32), "float32 of shape (2,)"),
        ({"a": 1.0}, "{'a': 1.0}"),
        (1j, "1j"),
        (Decimal(1), "Decimal('1')"),
        ([[1.0], [1.0, 2.0]], "[[1.0], [1.0, 2.0]]"),
        ("x" * 1000, "…"),
    ],
)
def test_what_is_not_a_reward_is_named(value: Any, named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        reward_of(value)
    assert f"the simulator's reward is {named}" in str(raised.value).replace("'" + "x" * 59, "")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("dress", [bool, np.bool_, int, np.array, lambda flag: np.array([flag])])
def test_a_flag_is_true_or_false_in_any_dress(dress: Any) -> None:
    assert flag_of("terminated", dress(True)) is True
    assert flag_of("terminated", dress(False)) is False


@pytest.mark.parametrize("value", [None, "False", np.zeros(2, bool), [], 0.0, {}])
def test_what_is_not_a_flag_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"'truncated' is .*; write True or False"):
        flag_of("truncated", value)


def test_rewards_and_flags_of_several_environments_are_one_each() -> None:
    assert rewards_of([1, 2.5], 2).tolist() == [1.0, 2.5]
    assert flags_of("terminated", [True, 0], 2).tolist() == [True, False]
    for values in (None, [1.0], [1.0, None], [[1.0], [2.0]], 1.0, ["1", "2"]):
        with pytest.raises(ConfigError, match="2 numbers, one per environment"):
            rewards_of(values, 2)
        with pytest.raises(ConfigError, match="2 flags, one per environment"):
            flags_of("terminated", values, 2)


def test_a_wrong_reward_of_an_agent_is_named_with_the_agent() -> None:
    assert rewards_by_agent({"a": 1, "b": np.float32(2)}) == {"a": 1.0, "b": 2.0}
    with pytest.raises(ConfigError, match="agent 'b': the simulator's reward is None"):
        rewards_by_agent({"a": 1, "b": None})
