"""An RLlib script that trains HalfCheetah: on a fleet with --broker, else with RLlib's EnvRunners.

headrace broker
headrace actor --env HalfCheetah-v5 --environments 4                 # two of them
python -m examples.half_cheetah.train metrics.jsonl --broker tcp://127.0.0.1:5555
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path
from typing import TextIO

import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import MeanStdFilter
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from headrace.learner import BrokerEnvRunner

ENV_ID = "HalfCheetah-v5"
ACTORS, ENVIRONMENTS = 2, 4
"""Processes that step the simulator, and how many environments each steps together."""


def make_config(seed: int) -> PPOConfig:
    """Returns the config that both sides share."""
    return (
        PPOConfig()
        .environment(ENV_ID)
        .env_runners(env_to_module_connector=lambda *_, **__: [MeanStdFilter()])
        .training(
            lr=3e-4,
            gamma=0.99,
            lambda_=0.95,
            clip_param=0.2,
            use_kl_loss=False,
            vf_clip_param=1e6,
            train_batch_size_per_learner=4096,
            minibatch_size=128,
            num_epochs=10,
        )
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=[64, 64], fcnet_activation="tanh", vf_share_layers=False
            )
        )
        .reporting(metrics_num_episodes_for_smoothing=2 * ACTORS * ENVIRONMENTS)
        .debugging(seed=seed, log_level="ERROR")
    )


def use_fleet(config: PPOConfig, broker: str) -> None:
    """Takes the data from a broker, of the newest policy only, as with EnvRunners."""
    own = {"address": broker, "run": "half-cheetah", "max_policy_lag": 0}
    config.environment(env_config={"headrace": own})
    config.env_runners(env_runner_cls=BrokerEnvRunner, num_env_runners=0)


def use_own_runners(config: PPOConfig) -> None:
    """Steps the simulator in RLlib's EnvRunners, with one process for each actor of the fleet."""
    config.env_runners(num_env_runners=ACTORS, num_envs_per_env_runner=ENVIRONMENTS)


def train(config: PPOConfig, env_steps: int, file: TextIO) -> None:
    """Trains for `env_steps`; writes a line of JSON per iteration."""
    started_s = time.monotonic()
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    algorithm = config.build_algo()
    trained = 0
    while trained < env_steps:
        sampled = algorithm.train()["env_runners"]
        trained = int(sampled.get("num_env_steps_sampled_lifetime", 0))
        returned = float(sampled.get("episode_return_mean", math.nan))
        line = {
            "env_steps": trained,
            "wall_s": time.monotonic() - started_s,
            "episode_return_mean": None if math.isnan(returned) else returned,
        }
        print(json.dumps(line), file=file, flush=True)
    algorithm.stop()
    ray.shutdown()


def main() -> None:
    """Trains once."""
    parser = argparse.ArgumentParser(description="PPO on HalfCheetah.")
    parser.add_argument("metrics", type=Path, help="the file to write")
    parser.add_argument("--broker", help="the broker's address; default: RLlib's own EnvRunners")
    parser.add_argument("--env-steps", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    config = make_config(arguments.seed)
    if arguments.broker is None:
        use_own_runners(config)
    else:
        use_fleet(config, arguments.broker)
    with arguments.metrics.open("w") as file:
        train(config, arguments.env_steps, file)


if __name__ == "__main__":
    main()
