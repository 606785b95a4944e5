"""Real RLlib algorithms, and actors in threads that feed them."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any, cast

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import make_environment
from headrace.learner.runner.env_runner import BrokerEnvRunner
from support.running import BrokerThread, Context, connect, in_thread


def make_config(broker: BrokerThread, env: Any = "CartPole-v1", **own: Any) -> PPOConfig:
    own = {"address": broker.address, "run": "run", "pull_timeout_s": 5.0, **own}
    config = PPOConfig().environment(env, env_config={"headrace": own})
    config.env_runners(env_runner_cls=BrokerEnvRunner, num_env_runners=0)
    config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=1)
    return config.debugging(log_level="ERROR")


@contextmanager
def collecting(
    broker: BrokerThread, context: Context, env: str = "CartPole-v1", count: int = 1
) -> Generator[Collector]:
    """Runs an actor in a thread."""
    environment = make_environment(env, count, {})
    with closing(environment), connect(broker, context, "actor") as client:
        collector = Collector(client, environment, seed=1)
        with in_thread(collector.run):
            yield collector


@contextmanager
def algorithm_of(config: AlgorithmConfig) -> Generator[Algorithm]:
    algorithm = config.build_algo()
    try:
        yield algorithm
    finally:
        algorithm.stop()


def runner_of(algorithm: Algorithm) -> BrokerEnvRunner:
    return cast("BrokerEnvRunner", algorithm.env_runner)


def torch_module_of(algorithm: Algorithm) -> TorchRLModule:
    """Returns the only module of an algorithm's runner."""
    return cast("TorchRLModule", runner_of(algorithm).module)


def returns_by_task(result: dict[str, Any]) -> dict[str, float]:
    """Returns the mean return of each task with an ended episode."""
    tasks = result["env_runners"].get("headrace", {}).get("tasks", {})
    means = {task: metrics["episode_return_mean"] for task, metrics in tasks.items()}
    return {task: mean for task, mean in means.items() if not math.isnan(mean)}
