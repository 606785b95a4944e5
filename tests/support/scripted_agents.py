"""A simulator of several agents with scripted turns, departures and rewards."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

_Base: Any = MultiAgentEnv

Dicts = tuple[
    dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
]


class ScriptedAgents(_Base):  # type: ignore[misc] # RLlib's has types of its own
    """`often` always acts, `seldom` every third step, `late` enters at step 2 and dies at 5.

    Observations contain the agent and the env step; rewards depend on the last action.
    """

    possible_agents = ["late", "often", "seldom"]  # noqa: RUF012 - as Gymnasium's, per class

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        settings = dict(config or {})
        self._length = int(settings.get("length", 8))
        self._truncates = bool(settings.get("truncates", False))
        self.agents = list(self.possible_agents)
        self.observation_spaces: dict[str, gym.spaces.Box] = {
            agent: gym.spaces.Box(-1, 100, (2 if agent == "often" else 3,), np.float32)
            for agent in self.possible_agents
        }
        self.action_spaces: dict[str, gym.Space[Any]] = {
            agent: gym.spaces.Discrete(3) for agent in self.possible_agents
        }
        self._t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._t = 0
        return {agent: self._see(agent) for agent in ("often", "seldom")}, {}

    def step(self, action_dict: Any) -> Dicts:
        self._t += 1
        is_over = self._t >= self._length
        rewards = {agent: float(action) + self._t / 8 for agent, action in action_dict.items()}
        rewards["seldom"] = rewards.get("seldom", 0.25)
        terminated, truncated = {}, {}
        if self._t == 5:  # its last action kills `late`
            terminated["late"] = True
        seers = [agent for agent in self.possible_agents if self._sees(agent, is_over=is_over)]
        terminated["__all__"] = is_over and not self._truncates
        truncated["__all__"] = is_over and self._truncates
        return {agent: self._see(agent) for agent in seers}, rewards, terminated, truncated, {}

    def _sees(self, agent: str, *, is_over: bool) -> bool:
        match agent:
            case "often":
                return True
            case "seldom":
                return is_over or self._t % 3 == 0
            case _:
                return 2 <= self._t <= 5 and not is_over

    def _see(self, agent: str) -> Any:
        number = self.possible_agents.index(agent)
        shape = self.observation_spaces[agent].shape
        return np.full(shape, 10 * number + self._t, np.float32)
