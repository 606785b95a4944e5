"""A simulator that fails on purpose; separate processes import it from here."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import gymnasium
import numpy as np

_FOR_EVER = threading.Event()


class Fragile(gymnasium.Env[Any, Any]):
    """Counts to `length` and ends; at `fails_at` it raises, exits, hangs or dies, as `how` says.

    Attributes:
        made: how many were made so far in this process.
    """

    observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)
    made = 0

    def __init__(
        self, fails_at: int = 3, how: str = "raise", length: int = 5, fails_once: bool = False
    ) -> None:
        type(self).made += 1
        self._fails_at = fails_at if not (fails_once and self.made > 1) else 0
        self._how = how
        self._length = length
        self.is_closed = False
        self.options: dict[str, Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t, self.options = 0, options
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        if self._t == self._fails_at:
            self._fail()
        return self._see(), 1.0, self._t == self._length, False, {}

    def close(self) -> None:
        self.is_closed = True

    def _see(self) -> Any:
        return np.full(2, self._t, np.float32)

    def _fail(self) -> None:
        if self._how == "hang":
            _FOR_EVER.wait()
        if self._how == "exit":
            sys.exit()
        if self._how == "die":
            os._exit(1)
        raise RuntimeError("the simulator crashed")


gymnasium.register("Fragile-v0", entry_point="support.fragile:Fragile")
