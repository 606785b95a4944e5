"""Environments of the zoo that need a few lines beside a run file, as with RLlib's own runner."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, Tuple


def minigrid(env_id: str = "MiniGrid-Empty-5x5-v0") -> Any:
    """Returns MiniGrid with images alone, since its mission is a text; as floats."""
    env: Any = gym.make(f"minigrid:{env_id}")
    return gym.wrappers.TransformObservation(
        env,
        lambda seen: np.float32(seen["image"]) / 10.0,
        Box(0.0, 1.0, env.observation_space["image"].shape, np.float32),
    )


def doom(env_id: str = "VizdoomBasic-v1") -> Any:
    """Returns ViZDoom's screen as a grey image of 84 x 84, as floats."""
    env: Any = gym.make(f"vizdoom.gymnasium_wrapper:{env_id}", frame_skip=4)
    env = gym.wrappers.TransformObservation(
        env, lambda seen: seen["screen"], env.observation_space["screen"]
    )
    env = gym.wrappers.GrayscaleObservation(gym.wrappers.ResizeObservation(env, (84, 84)), True)
    return gym.wrappers.TransformObservation(
        env, lambda seen: np.float32(seen) / 255.0, Box(0.0, 1.0, (84, 84, 1), np.float32)
    )


class Flight(gym.Env[Any, Any]):
    """Holds a Cessna at its height with JSBSim's flight model."""

    observation_space = Box(-np.inf, np.inf, (5,), np.float32)
    action_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, height_ft: float = 5000.0) -> None:
        jsbsim = importlib.import_module("jsbsim")  # without types, and only there with the zoo
        self._model: Any = jsbsim.FGFDMExec(None)
        self._model.set_debug_level(0)
        self._model.load_model("c172p")
        self._height_ft = height_ft
        self._t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        model = self._model
        model["ic/h-sl-ft"] = self._height_ft + self.np_random.uniform(-50.0, 50.0)
        model["ic/vc-kts"] = 100.0
        model.run_ic()
        model["propulsion/set-running"] = -1
        model["fcs/throttle-cmd-norm"] = 0.8
        self._t = 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        model = self._model
        model["fcs/elevator-cmd-norm"], model["fcs/aileron-cmd-norm"] = map(float, action)
        for _ in range(12):
            model.run()
        self._t += 1
        seen = self._seen()
        is_lost = bool(abs(seen[0]) > 5.0 or abs(seen[2]) > 1.0)
        return seen, 1.0 - abs(float(seen[0])), is_lost, self._t >= 200, {}

    def _seen(self) -> Any:
        model = self._model
        return np.array(
            [
                (model["position/h-sl-ft"] - self._height_ft) / 100.0,
                model["velocities/h-dot-fps"] / 10.0,
                model["attitude/phi-rad"],
                model["attitude/theta-rad"],
                model["velocities/vc-kts"] / 100.0,
            ],
            np.float32,
        )


class Turret(gym.Env[Any, Any]):
    """Turns to a target and fires: its action is a Tuple of a direction and a trigger."""

    observation_space = Box(-1.0, 1.0, (2,), np.float32)
    action_space = Tuple([Box(-1.0, 1.0, (1,), np.float32), Discrete(2)])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._t, self._angle = 0, 0.0
        self._target = float(self.np_random.uniform(-1.0, 1.0))
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        turn, fires = action
        self._t += 1
        self._angle = float(np.clip(self._angle + 0.2 * float(turn[0]), -1.0, 1.0))
        hits = abs(self._angle - self._target) < 0.1
        reward = (1.0 if hits else -0.2) if fires else 0.0
        return self._seen(), reward, False, self._t >= 50, {}

    def _seen(self) -> Any:
        return np.array([self._angle, self._target], np.float32)
