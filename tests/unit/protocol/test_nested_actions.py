"""Actions in the form of the simulator's action space."""

from __future__ import annotations

import numpy as np

from headrace.protocol.nested_actions import map_actions, nest, row_of, rows_of

LEAVES = {
    "env_action/0/a": np.arange(6.0).reshape(3, 2),
    "env_action/0/b": np.arange(3),
    "env_action/1/0": np.arange(3) + 10,
}
TUPLES = ("env_action", "env_action/1")


def test_leaves_become_tuples_and_maps() -> None:
    nested = nest(LEAVES, TUPLES)
    assert isinstance(nested, tuple)
    assert nested[0].keys() == {"a", "b"}
    assert nested[1][0] is LEAVES["env_action/1/0"]
    plain = np.arange(3)
    assert nest({"env_action": plain}, ()) is plain


def test_rows_hold_numbers_where_leaves_are_scalars() -> None:
    nested = nest(LEAVES, TUPLES)
    first = row_of(nested, 1)
    assert (first[0]["b"], first[1]) == (1, (11,))
    assert first[0]["a"].tolist() == [2.0, 3.0]
    assert [row[1] for row in rows_of(nested)] == [(10,), (11,), (12,)]
    assert rows_of(np.array([3, 4])) == [3, 4]
    assert [row.tolist() for row in rows_of(np.eye(2))] == [[1.0, 0.0], [0.0, 1.0]]
    assert rows_of({"only": np.array([7])}) == [{"only": 7}]


def test_leaves_of_several_actions_are_combined() -> None:
    nested = nest(LEAVES, TUPLES)
    doubled = map_actions(lambda one, other: one + other, nested, nested)
    np.testing.assert_array_equal(doubled[0]["a"], 2 * LEAVES["env_action/0/a"])
    np.testing.assert_array_equal(doubled[1][0], 2 * LEAVES["env_action/1/0"])
