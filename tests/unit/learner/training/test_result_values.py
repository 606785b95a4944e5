"""Which numbers of RLlib's result a run records."""

from __future__ import annotations

import numpy as np
import torch

from headrace.learner.training.result_values import numbers_of


def test_numbers_are_found_by_path_whatever_their_kind() -> None:
    result = {
        "learners": {"default_policy": {"entropy": np.float32(0.5), "kl": torch.tensor(0.25)}},
        "env_runners": {"agent_steps": {0: 7}, "note": "text", "steps": np.array([1, 2])},
        "config": {"lr": 0.1},
        "timestamp": 12.0,
    }
    assert numbers_of(result) == {
        "learners/default_policy/entropy": 0.5,
        "learners/default_policy/kl": 0.25,
        "env_runners/agent_steps/0": 7.0,
    }


def test_what_is_not_finite_is_left_out() -> None:
    assert numbers_of({"a": float("nan"), "b": float("inf"), "c": 1}) == {"c": 1.0}


def test_a_number_for_each_of_many_agents_is_bounded() -> None:
    assert len(numbers_of({str(agent): 1.0 for agent in range(10_000)})) == 2000
