"""A simulator with values in its infos."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from support.pairs import Pair


class InfoEnv(gymnasium.Env[Any, Any]):
    """Counts to five; its infos are ten times the step, a flag at even steps, and a text."""

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


class InfoPair(Pair):
    """Two agents, of which the second does not get the flag at even steps."""

    def __init__(self) -> None:
        super().__init__(InfoEnv())

    def step(self, actions: dict[str, int]) -> Any:
        *step, infos = super().step(actions)
        reported = {key: value for key, value in infos["b"].items() if key != "even"}
        return (*step, {**infos, "b": reported})


gymnasium.register("InfoEnv-v0", entry_point="support.info_envs:InfoEnv")
