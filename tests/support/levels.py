"""A simulator that is reset at a level, and observes it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class Levels(gymnasium.Env[Any, Any]):
    """Counts to five; observes the count, and the level of the last reset, 0 without one."""

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


gymnasium.register("Levels-v0", entry_point="support.levels:Levels")
