"""The kinds of settings, which RLlib rarely checks."""

from __future__ import annotations

from typing import Any

import pytest
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig

from headrace.learner.training.settings_check import require_kinds
from headrace.protocol.errors import ConfigError

pytestmark = pytest.mark.rllib


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (PPOConfig, {"rollout_fragment_length": 200, "num_cpus_per_learner": 1}),
        (PPOConfig, {"rollout_fragment_length": "auto", "num_gpus_per_learner": 0.5}),
        (PPOConfig, {"evaluation_duration": "auto", "evaluation_interval": None}),
        (PPOConfig, {"lr": [[0, 1e-3], [1000, 1e-4]], "grad_clip": 0.5, "gamma": 1}),
        (SACConfig, {"target_entropy": -1.0, "initial_alpha": 1}),
        (DQNConfig, {"epsilon": 0.1, "n_step": [2, 5]}),
    ],
)
def test_forms_that_rllib_takes_are_accepted(config: Any, settings: dict[str, Any]) -> None:
    require_kinds(settings, config(), "[learner.training]")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"lr": float("nan")}, "is not a finite number"),
        ({"lr": float("inf")}, "is not a finite number"),
        ({"lr": "fast"}, "is not a number"),
        ({"gamma": -0.5}, "is not between 0 and 1"),
        ({"rollout_fragment_length": -3}, "is negative"),
        ({"rollout_fragment_length": "long"}, "is not a number"),
        ({"evaluation_interval": -1}, "is not above 0"),
        ({"evaluation_interval": "x"}, "is not a number"),
        ({"num_epochs": 1.5}, "is not a whole number"),
        ({"train_batch_size_per_learner": 200.5}, "is not a whole number"),
    ],
)
def test_others_are_named(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[learner.training\] \w+ = .* {reason}"):
        require_kinds(settings, PPOConfig(), "[learner.training]")
