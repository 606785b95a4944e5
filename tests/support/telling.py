"""A simulator that tells things in its infos."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from support.pairs import Pair


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


class TellingPair(Pair):
    """Two agents, of which the second is told nothing of what is even."""

    def __init__(self) -> None:
        super().__init__(Telling())

    def step(self, actions: dict[str, int]) -> Any:
        *step, infos = super().step(actions)
        told = {key: value for key, value in infos["b"].items() if key != "even"}
        return (*step, {**infos, "b": told})


gymnasium.register("Telling-v0", entry_point="support.telling:Telling")
