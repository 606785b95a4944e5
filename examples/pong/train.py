"""The learner: an RLlib script, since run files can configure neither connectors nor modules.

headrace broker
headrace actor --env examples.pong.environment:PongPixels-v0     # as many as you like
python -m examples.pong.train
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module.frame_stacking import FrameStackingEnvToModule
from ray.rllib.connectors.learner.frame_stacking import FrameStackingLearner
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from examples.pong.pixel_module import PixelModule
from headrace.learner import BrokerEnvRunner

FRAMES = 4
SCREEN = gymnasium.spaces.Box(0, 255, (84, 84, 1), np.uint8)
"""The observation that actors send."""
MOVES: gymnasium.spaces.Discrete[np.int64] = gymnasium.spaces.Discrete(6)
_CONVOLUTIONS: Any = [[16, 8, 4], [32, 4, 2], [32, 3, 2]]
"""Channels, size and stride of each."""


def make_config(address: str, *, frames: int = FRAMES, compression: str | None = None) -> PPOConfig:
    """Returns PPO's config for a broker.

    Args:
        frames: how many pictures the module gets at once; 1 for simulators that stack themselves.
        compression: see `RunnerConfig`.
    """
    config = PPOConfig()
    # The learner needs the spaces only; the simulators run with the actors.
    config.environment(
        observation_space=SCREEN,
        action_space=MOVES,
        env_config={"headrace": {"address": address, "run": "pong", "compression": compression}},
    )
    config.env_runners(
        env_runner_cls=BrokerEnvRunner,
        num_env_runners=0,
        env_to_module_connector=lambda *_, **__: (
            [FrameStackingEnvToModule(num_frames=frames)] if frames > 1 else []
        ),
    )
    config.learners(
        learner_connector=lambda *_, **__: (
            [FrameStackingLearner(num_frames=frames)] if frames > 1 else []
        )
    )
    config.training(
        lr=5e-4,
        gamma=0.99,
        lambda_=0.95,
        train_batch_size_per_learner=2048,
        minibatch_size=256,
        num_epochs=3,
        clip_param=0.1,
        entropy_coeff=0.01,
        grad_clip=0.5,
    )
    model = DefaultModelConfig(conv_filters=_CONVOLUTIONS, head_fcnet_hiddens=[256])
    config.rl_module(rl_module_spec=RLModuleSpec(module_class=PixelModule, model_config=model))
    return config.debugging(seed=1, log_level="ERROR")


def main() -> None:
    """Trains until it is stopped."""
    address = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"
    algorithm = make_config(address).build_algo()
    while True:
        sampled = algorithm.train()["env_runners"]
        env_steps = int(sampled.get("num_env_steps_sampled_lifetime", 0))
        returned = sampled.get("episode_return_mean", float("nan"))
        print(f"{env_steps} env steps, return {returned:.1f}", flush=True)


if __name__ == "__main__":
    main()
