"""The reply to RLlink's GET_CONFIG, which is a pickle by RLlink's definition.

This is the only place that writes one, of an object of our own, and nothing here reads any.
"""

from __future__ import annotations

import pickle

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner


def config_for_clients(config: AlgorithmConfig, fragment_env_steps: int) -> bytes:
    """Returns the learner's config as clients get it, with how much to send at once."""
    own = config.copy(copy_frozen=False)
    own.env_runners(env_runner_cls=SingleAgentEnvRunner, rollout_fragment_length=fragment_env_steps)
    return pickle.dumps(own)
