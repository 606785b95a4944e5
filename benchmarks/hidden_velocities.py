"""CartPole without velocities in its observations: a policy needs memory."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

ID = "benchmarks.hidden_velocities:CartPoleWithoutVelocities-v0"


class CartPoleWithoutVelocities(gym.ObservationWrapper[Any, Any, Any]):
    """Observes positions only."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(CartPoleEnv(**arguments))
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def observation(self, observation: Any) -> Any:
        """Leaves out both velocities."""
        return observation[[0, 2]]


def _make(**arguments: Any) -> gym.Env[Any, Any]:
    return CartPoleWithoutVelocities(**arguments)


gym.register("CartPoleWithoutVelocities-v0", entry_point=_make, max_episode_steps=500)
