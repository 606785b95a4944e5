from __future__ import annotations

import tree

from headrace.protocol.paths import flatten_paths


def test_a_plain_value_is_a_single_leaf() -> None:
    assert flatten_paths(3, "obs") == {"obs": 3}


def test_nested_maps_and_tuples_become_paths() -> None:
    value = {"pose": (1, 2), "camera": {"left": 3}}
    assert flatten_paths(value, "obs") == {
        "obs/camera/left": 3,
        "obs/pose/0": 1,
        "obs/pose/1": 2,
    }


def test_leaves_are_in_the_order_in_which_rllib_flattens() -> None:
    value = {"b": 1, "a": (2, {"z": 3, "y": 4})}
    assert list(flatten_paths(value, "obs").values()) == tree.flatten(value)


def test_keys_of_several_types_are_in_the_order_of_their_texts() -> None:
    assert flatten_paths({"b": 1, 2: 2, "a": 3}, "obs") == {"obs/2": 2, "obs/a": 3, "obs/b": 1}
