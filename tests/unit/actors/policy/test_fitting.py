"""Which observations fit a policy, and which conversions are safe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace.actors.policy.fitting import fit_rows, require_leaves, require_range, row_of
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import IndexRange, TensorSpec


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.array([1.5, 2.5]), "float32"),
        (np.array([1.5, 2.5], np.float16), "float32"),
        (np.array([1.5, 2.5], np.float32), "float64"),
        ([1.5, 2.5], "float32"),
        ((1, 2), "float32"),
        ([np.float64(1.5), 2], "float32"),
        (np.array([1, 2], np.int32), "int64"),
        (np.array([1, 2], np.uint8), "int16"),
        (np.array([1, 2]), "int8"),
        ([1, 255], "uint8"),
        ([True, False], "int8"),
        ([True, False], "float32"),
        (np.array([3, 4], ">i4"), "int32"),
    ],
)
def test_a_safe_conversion_keeps_the_values(value: Any, dtype: str) -> None:
    row = row_of("obs", value, TensorSpec("obs", dtype, (2,)))
    assert row.dtype == np.dtype(dtype)
    assert row.tolist() == [[float(x) for x in value]]


@pytest.mark.parametrize("value", [3, np.int32(3), np.array(3), np.uint8(3)])
def test_an_index_may_be_any_integer(value: Any) -> None:
    row = row_of("obs", value, TensorSpec("obs", "int64", ()))
    assert row.dtype == np.int64
    assert row.tolist() == [3]


@pytest.mark.parametrize(
    ("value", "dtype", "named"),
    [
        ([1.5, 2.5], "int64", "float64 of shape (2,)"),
        ([1.0, 2.0], "uint8", "float64 of shape (2,)"),
        ([1, 256], "uint8", "int64 of shape (2,) with values from 1 to 256"),
        ([-1, 1], "uint8", "int64 of shape (2,) with values from -1 to 1"),
        ([1, 2], "bool", "int64 of shape (2,)"),
        ([1.0, 2.0, 3.0], "float32", "float64 of shape (3,)"),
        (1.0, "float32", "float64 of shape ()"),
        (None, "float32", "object of shape ()"),
        (["1", "2"], "float32", "<U1 of shape (2,)"),
        ([1 + 2j, 1], "float32", "complex128 of shape (2,)"),
        ([None, 1.0], "float32", "object of shape (2,)"),
        ([[1.0], [1.0, 2.0]], "float32", "not an array"),
    ],
)
def test_an_unsafe_conversion_names_the_leaf_its_dtype_and_shape(
    value: Any, dtype: str, named: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        row_of("obs/camera", value, TensorSpec("obs/camera", dtype, (2,)))
    assert "'obs/camera'" in str(raised.value)
    assert named in str(raised.value)


def test_rows_that_fit_are_not_copied() -> None:
    rows = np.ones((3, 2), np.float32)
    assert fit_rows("obs", rows, TensorSpec("obs", "float32", (2,))) is rows


def test_leaves_that_are_missing_or_unknown_are_named() -> None:
    wanted = {"obs/a": TensorSpec("obs/a", "float32", ())}
    rows = np.zeros((1,), np.float32)
    assert require_leaves({"obs/a": rows}, wanted) == {"obs/a": rows}
    with pytest.raises(ConfigError, match=r"has \['obs/b'\].*expects \['obs/a'\]"):
        require_leaves({"obs/b": rows}, wanted)


def test_a_tuple_of_numbers_is_one_leaf() -> None:
    wanted = {"obs": TensorSpec("obs", "float32", (3,))}
    found = {f"obs/{index}": np.full(2, index) for index in range(3)}
    assert require_leaves(found, wanted)["obs"].tolist() == [[0, 1, 2], [0, 1, 2]]
    with pytest.raises(ConfigError, match="expects"):
        require_leaves({**found, "obs/x": np.zeros(2)}, wanted)


@pytest.mark.parametrize(
    ("rows", "low", "high"),
    [
        ([[3]], (0,), (2,)),
        ([[-1]], (0,), (2,)),
        ([[0, 5]], (0, 6), (3, 9)),
        ([[0, 4]], (0, 0), (3, 3)),
    ],
)
def test_indices_outside_their_space_are_refused(
    rows: list[list[int]], low: tuple[int, ...], high: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"'obs' is .*, outside its space, which begins at"):
        require_range("obs", np.array(rows), IndexRange(low, high))
    require_range("obs", np.full_like(rows, low), IndexRange(low, high))
