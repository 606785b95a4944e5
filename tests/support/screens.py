"""A simulator that shows pictures of a full HD screen, which do not compress."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

_SHAPE = (1080, 1920, 3)
_EPISODE_STEPS = 16


class Screens(gymnasium.Env[Any, Any]):
    """One half of the screen is bright; a reward of 1 for the action that names it."""

    observation_space = gymnasium.spaces.Box(0, 255, _SHAPE, np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t = 0
        self._noise = self.np_random.integers(0, 128, _SHAPE, np.uint8)
        return self._show(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        reward = float(action == self._bright)
        return self._show(), reward, self._t == _EPISODE_STEPS, False, {}

    def _show(self) -> Any:
        self._bright = int(self.np_random.integers(2))
        screen = self._noise.copy()
        half = slice(0, 960) if self._bright == 0 else slice(960, None)
        screen[:, half] += 127
        return screen


gymnasium.register("Screens-v0", entry_point="support.screens:Screens")
