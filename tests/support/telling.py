"""A simulator that tells things in its infos."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from pettingzoo import ParallelEnv

_ParallelEnv: Any = ParallelEnv


class Telling(gymnasium.Env[Any, Any]):
    """Counts to five; tells ten times the step, whether it is even if it is, and a text."""

    observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t = 0
        return np.zeros(2, np.float32), {"tens": -1.0}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        info = {"tens": 10 * self._t, "text": "not a number"}
        if self._t % 2 == 0:
            info["even"] = True
        return np.full(2, self._t, np.float32), 1.0, self._t == 5, False, info


class TellingPair(_ParallelEnv):  # type: ignore[misc] # PettingZoo's is not typed for mypy
    """Two agents that are told the same, but the second nothing of what is even."""

    metadata: dict[str, Any] = {"name": "telling"}  # noqa: RUF012 - PettingZoo's
    render_mode = None
    possible_agents = ["a", "b"]  # noqa: RUF012 - PettingZoo's

    def __init__(self) -> None:
        self._own = Telling()

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        return Telling.observation_space

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        return Telling.action_space

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents = list(self.possible_agents)
        seen, info = self._own.reset(seed=seed)
        return dict.fromkeys(self.agents, seen), dict.fromkeys(self.agents, info)

    def step(self, actions: dict[str, int]) -> Any:
        *step, info = self._own.step(0)
        by_agent = [dict.fromkeys(self.agents, value) for value in step]
        infos = {"a": info, "b": {key: info[key] for key in info if key != "even"}}
        if step[2]:
            self.agents = []
        return (*by_agent, infos)


gymnasium.register("Telling-v0", entry_point="support.telling:Telling")
