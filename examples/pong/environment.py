"""Pong with one small grey picture per step, as bytes; actors make it by its id.

The learner and the policy stack pictures themselves, so that each travels once.
"""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
from gymnasium.wrappers import AtariPreprocessing

ENV_ID = "PongPixels-v0"


def make_pong(**settings: Any) -> gymnasium.Env[Any, Any]:
    """Returns Pong with observations of uint8 [84, 84, 1]; each step is four steps of the game."""
    game = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0, **settings)
    return AtariPreprocessing(game, frame_skip=4, screen_size=84, grayscale_newaxis=True)


gymnasium.register_envs(ale_py)
gymnasium.register(ENV_ID, entry_point=make_pong)
