"""The reply to RLlink's GET_CONFIG, which RLlink defines as a pickle.

This is the only place that writes a pickle, of an object of our own; nothing here reads one.
"""

from __future__ import annotations

import pickle

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner


def config_for_clients(config: AlgorithmConfig, fragment_env_steps: int) -> bytes:
    """Returns the learner's config for clients, with the number of env steps to send at once."""
    own = config.copy(copy_frozen=False)
    own.env_runners(env_runner_cls=SingleAgentEnvRunner, rollout_fragment_length=fragment_env_steps)
    return pickle.dumps(own)
