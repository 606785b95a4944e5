"""Tuples and Dicts of actions: in the graph, as RLlib samples and trains them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from ray.rllib.core.columns import Columns
from support.policies import Exported

from headrace.protocol.nested_actions import map_actions, row_of, rows_of

SEEN = Box(-1.0, 1.0, (4,), np.float32)
ARM = Box(-2.0, 2.0, (3,), np.float32)
SPACES: dict[str, gym.Space[Any]] = {
    "tuple": Tuple([ARM, Discrete(2)]),
    "dict": Dict({"turn": ARM, "fire": Discrete(2), "aim": MultiDiscrete([2, 3])}),
    "nested": Tuple([Dict({"b": Discrete(3, start=5), "a": ARM}), Tuple([Discrete(2)])]),
}
ROWS = 200


@pytest.fixture
def seen() -> dict[str, Any]:
    return {"obs": np.random.default_rng(0).uniform(-1.0, 1.0, (ROWS, 4)).astype(np.float32)}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_actions_have_the_form_of_their_space(space: gym.Space[Any], seen: dict[str, Any]) -> None:
    made = Exported(SEEN, space)
    acted = made.policy.act(seen)
    for action in rows_of(acted.env_actions):
        assert space.contains(map_actions(lambda leaf: leaf, action)), action
    greedy = made.policy.act(seen, explore=False).env_actions
    again = made.policy.act(seen, explore=False).env_actions
    assert row_of(greedy, 7) is not None
    map_actions(np.testing.assert_array_equal, greedy, again)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_log_probabilities_are_those_of_rllibs_distribution(
    space: gym.Space[Any], seen: dict[str, Any]
) -> None:
    made = Exported(SEEN, space)
    acted = made.policy.act(seen)
    inputs = torch.as_tensor(acted.recorded[Columns.ACTION_DIST_INPUTS])
    kind: Any = made.module.get_exploration_action_dist_cls()
    recorded = {
        name.removeprefix("actions"): torch.as_tensor(values)
        for name, values in acted.recorded.items()
        if name.startswith("actions/")
    }
    assert len(recorded) >= 2
    from headrace.learner.spaces import nest_columns

    logp = kind.from_logits(inputs).logp(nest_columns(space, recorded, ""))
    np.testing.assert_allclose(acted.recorded[Columns.ACTION_LOGP], logp, rtol=1e-4, atol=1e-4)


def test_discrete_parts_are_sampled_with_their_probabilities(seen: dict[str, Any]) -> None:
    made = Exported(SEEN, SPACES["tuple"])
    one = {"obs": np.repeat(seen["obs"][:1], 4000, 0)}
    acted = made.policy.act(one)
    logits = acted.recorded[Columns.ACTION_DIST_INPUTS][0, 6:]
    expected = np.exp(logits) / np.exp(logits).sum()
    found = np.bincount(acted.env_actions[1], minlength=2) / 4000
    np.testing.assert_allclose(found, expected, atol=0.04)
