"""A config that cannot be exported to a policy graph, since it has a custom connector."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module.observation_preprocessor import (
    SingleAgentObservationPreprocessor,
)


class Squares(SingleAgentObservationPreprocessor):  # type: ignore[misc]
    """Appends the squares of an observation, and writes the result to the episode."""

    def recompute_output_observation_space(
        self, input_observation_space: Any, input_action_space: Any
    ) -> gym.Space[Any]:
        size = 2 * input_observation_space.shape[0]
        return gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def preprocess(self, observation: Any, episode: Any = None) -> Any:
        return np.concatenate([observation, np.square(observation)]).astype(np.float32)


def squares(env: Any = None, spaces: Any = None, device: Any = None) -> Any:
    return Squares()


def make_config() -> AlgorithmConfig:
    """Returns the config that learner and actors share."""
    config = PPOConfig().environment("CartPole-v1")
    config.env_runners(env_to_module_connector=squares, num_env_runners=0)
    config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=1)
    return config.debugging(log_level="ERROR")


def make_nothing() -> None:
    """Returns no config."""
