"""A PettingZoo environment in which one agent dies early; it imports nothing from the tests."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from pettingzoo import ParallelEnv

_ParallelEnv: Any = ParallelEnv


class Survivors(_ParallelEnv):  # type: ignore[misc] # PettingZoo's is not typed for mypy
    """Rewards equal actions; of three agents `b` dies after three steps, all end after six."""

    metadata: dict[str, Any] = {"name": "survivors"}  # noqa: RUF012 - PettingZoo's
    render_mode = None
    possible_agents = ["a", "b", "c"]  # noqa: RUF012 - PettingZoo's

    def observation_space(self, agent: str) -> gym.Space[Any]:
        return gym.spaces.Box(0, 10, (1,), np.float32)

    def action_space(self, agent: str) -> gym.Space[Any]:
        return gym.spaces.Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents = list(self.possible_agents)
        self.t = 0
        return self._see(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> Any:
        self.t += 1
        seen = self._see()
        rewards = {agent: float(action) + self.t for agent, action in actions.items()}
        terminated = {agent: agent == "b" and self.t == 3 for agent in self.agents}
        truncated = dict.fromkeys(self.agents, self.t == 6)
        infos: dict[str, Any] = {agent: {} for agent in self.agents}
        self.agents = [a for a in self.agents if not (terminated[a] or truncated[a])]
        return seen, rewards, terminated, truncated, infos

    def _see(self) -> dict[str, Any]:
        return {agent: np.full(1, self.t, np.float32) for agent in self.agents}
