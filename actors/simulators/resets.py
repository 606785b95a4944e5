"""Resets environments in the way common to Gymnasium, PettingZoo and RLlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium

ResetOptions = Mapping[str, Any]
"""For an environment's `reset(options=…)`."""


def reset_arguments(seed: int | None, options: ResetOptions | None) -> dict[str, Any]:
    """Returns the keyword arguments of a reset; older environments do not take `options`."""
    return {"seed": seed, "options": dict(options)} if options else {"seed": seed}


class OptionsKept(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Resets with the options of an earlier reset where none are given.

    Vector environments autoreset without options.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._kept: ResetOptions = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets the environment; empty options clear the earlier ones."""
        if options is not None:
            self._kept = options
        return self.env.reset(**reset_arguments(seed, self._kept))
