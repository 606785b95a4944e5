"""Two agents with the observations and rewards of a Gymnasium environment's single agent."""

from __future__ import annotations

from typing import Any

import gymnasium
from pettingzoo import ParallelEnv

_ParallelEnv: Any = ParallelEnv


class Pair(_ParallelEnv):  # type: ignore[misc] # PettingZoo's is not typed for mypy
    """A PettingZoo ParallelEnv made from a Gymnasium environment."""

    metadata: dict[str, Any] = {"name": "pair"}  # noqa: RUF012 - PettingZoo's
    render_mode = None
    possible_agents = ["a", "b"]  # noqa: RUF012 - PettingZoo's

    def __init__(self, own: gymnasium.Env[Any, Any]) -> None:
        self._own = own

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        return self._own.observation_space

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        return self._own.action_space

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents = list(self.possible_agents)
        seen, info = self._own.reset(seed=seed, options=options)
        return dict.fromkeys(self.agents, seen), dict.fromkeys(self.agents, info)

    def step(self, actions: dict[str, int]) -> Any:
        step = self._own.step(0)
        by_agent = tuple(dict.fromkeys(self.agents, value) for value in step)
        if step[2]:
            self.agents = []
        return by_agent
