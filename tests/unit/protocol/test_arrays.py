"""What counts as an array."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.protocol.arrays import array_of, array_or_none
from headrace.protocol.errors import ConfigError


def test_a_value_is_copied() -> None:
    given = np.ones(2)
    assert array_of("obs", given) is not given
    assert array_of("obs", [1, 2]).tolist() == [1, 2]


def test_masked_values_are_no_array() -> None:
    hidden = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(ConfigError, match="the simulator's 'obs' is not an array: masked_array"):
        array_of("obs", hidden)
    assert array_or_none(np.ma.masked) is None
    shown = array_or_none(np.ma.array([1.0], mask=[False]))
    assert shown is not None
    assert shown.tolist() == [1.0]


def test_lists_of_different_lengths_are_no_array() -> None:
    assert array_or_none([[1, 2], [3]]) is None
