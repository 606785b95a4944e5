"""What the bad inputs name: environments, modules and functions of a user who made a mistake."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    Sequence,
    Text,
    Tuple,
)
from gymnasium.spaces.space import Space

VECTOR = Box(-1.0, 1.0, (4,), np.float32)


class Plain(gym.Env[Any, Any]):
    """Spaces as the environment's config says; each step returns a sample."""

    def __init__(self, observation: Space[Any] = VECTOR, action: Space[Any] = Discrete(2)) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}


class NeedsConfig(Plain):
    """Cannot be made without a level."""

    def __init__(self, level: str) -> None:
        super().__init__()
        self.level = level


class Raising(Plain):
    """Cannot be made at all."""

    def __init__(self) -> None:
        raise RuntimeError("the engine's licence has expired")


SPACES: dict[str, tuple[Space[Any], Space[Any]]] = {
    "Text": (Text(10), Discrete(2)),
    "Graph": (Graph(Box(-1.0, 1.0, (2,)), None), Discrete(2)),
    "Sequence": (Sequence(Box(-1.0, 1.0, (2,))), Discrete(2)),
    "Dict": (Dict({"position": VECTOR, "lidar": VECTOR}), Discrete(2)),
    "Tuple": (Tuple([VECTOR, VECTOR]), Discrete(2)),
    "BinaryActions": (VECTOR, MultiBinary(3)),
    "IntegerActions": (VECTOR, Box(0, 9, (2,), np.int32)),
    "Image": (Box(0.0, 1.0, (37, 51, 3), np.float32), Discrete(2)),
    "Pixels": (Box(0, 255, (37, 51, 3), np.uint8), Discrete(2)),
    "Continuous": (VECTOR, Box(-1.0, 1.0, (2,), np.float32)),
    "TextActions": (VECTOR, Text(5)),
    "Scalar": (Box(-1.0, 1.0, (), np.float32), Discrete(2)),
    "ScalarActions": (VECTOR, Box(-1.0, 1.0, (), np.float32)),
    "ScalarPart": (VECTOR, Tuple((Discrete(2), Box(-1.0, 1.0, (), np.float32)))),
    "FieldActions": (VECTOR, Box(-1.0, 1.0, (2, 3), np.float32)),
    "Empty": (Box(-1.0, 1.0, (0,), np.float32), Discrete(2)),
}
gym.register("Anything-v0", lambda **_: Plain())
for _name, _spaces in SPACES.items():
    gym.register(f"{_name}-v0", lambda spaces=_spaces, **_: Plain(*spaces))
gym.register("Exiting-v0", lambda **_: sys.exit(1))
gym.register("NeedsConfig-v0", lambda **given: NeedsConfig(**given))
gym.register("Raising-v0", lambda **given: Raising(**given))
gym.register("SmallPixels-v0", lambda **_: Plain(Box(0, 255, (42, 42, 1), np.uint8), Discrete(2)))
gym.register("GridActions-v0", lambda **_: Plain(VECTOR, MultiDiscrete(np.array([[2, 2], [3, 3]]))))
gym.register("NumberedActions-v0", lambda **_: Plain(VECTOR, Dict({1: Discrete(2)})))  # type: ignore[dict-item]
gym.register(
    "TwiceNamed-v0",
    lambda **_: Plain(VECTOR, Dict({"a/b": Discrete(2), "a": Dict({"b": Discrete(3)})})),
)


def nothing() -> None:
    """Makes no environment."""


def failing_config() -> None:
    """Makes no config."""
    raise RuntimeError("the licence has expired")
