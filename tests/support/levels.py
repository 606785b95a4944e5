"""Simulators that are reset at a level, and show which; they import nothing of the tests."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from pettingzoo import ParallelEnv

_ParallelEnv: Any = ParallelEnv


class Levels(gymnasium.Env[Any, Any]):
    """Counts to five; shows the count, and the level that it was reset at, 0 without one."""

    observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t, self._level = 0, (options or {}).get("level", 0)
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        return self._see(), float(self._level), self._t == 5, False, {}

    def _see(self) -> Any:
        return np.array([self._t, self._level], np.float32)


class SharedLevels(_ParallelEnv):  # type: ignore[misc] # PettingZoo's is not typed for mypy
    """The same for two agents."""

    metadata: dict[str, Any] = {"name": "levels"}  # noqa: RUF012 - PettingZoo's
    render_mode = None
    possible_agents = ["a", "b"]  # noqa: RUF012 - PettingZoo's

    def __init__(self) -> None:
        self._own = Levels()

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        return Levels.observation_space

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        return Levels.action_space

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents = list(self.possible_agents)
        seen, info = self._own.reset(seed=seed, options=options)
        return dict.fromkeys(self.agents, seen), dict.fromkeys(self.agents, info)

    def step(self, actions: dict[str, int]) -> Any:
        step = self._own.step(0)
        by_agent = [dict.fromkeys(self.agents, value) for value in step]
        if step[2]:
            self.agents = []
        return tuple(by_agent)


gymnasium.register("Levels-v0", entry_point="support.levels:Levels")
