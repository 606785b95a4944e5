"""Env steps per second of one collector process, against RLlib's own runner."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from benchmarks import acting
from benchmarks.cartpole import RUN
from benchmarks.pairs import Row, compare
from benchmarks.processes import broker_process, running
from benchmarks.rllink import ACTION, OBSERVATION
from headrace.actors.connection.client import Client
from headrace.actors.recording.step_result import StepResult
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import Environment, make_environment
from headrace.actors.simulators.resets import ResetOptions
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.arrays import Array

_ENV = "CartPole-v1"
_MEASURED_S = 3.0
_THEIR_STEPS = 3000
_TRAIN_BATCH = 40_000
"""Large enough that the collector never waits for credit."""


def run() -> list[Row]:
    """Measures one environment, eight that step together, and the policy alone."""
    return [_compare(1), _compare(8), *acting.rows()]


def _compare(environments: int) -> Row:
    config = PPOConfig().environment(_ENV, observation_space=OBSERVATION, action_space=ACTION)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=environments)
    spaces = {DEFAULT_MODULE_ID: (OBSERVATION, ACTION)}
    native = SingleAgentEnvRunner(config=config, worker_index=0, spaces=spaces)
    with _collecting(environments) as counted:

        def ours() -> float:
            counted.may_run.set()
            before, started_s = counted.env_steps, time.perf_counter()
            threading.Event().wait(_MEASURED_S)
            rate = (counted.env_steps - before) / (time.perf_counter() - started_s)
            counted.may_run.clear()
            return rate

        def theirs() -> float:
            started_s = time.perf_counter()
            sampled = sum(len(e) for e in native.sample(num_timesteps=_THEIR_STEPS))
            return sampled / (time.perf_counter() - started_s)

        row = compare(f"{_ENV}, {environments} environments", "env steps/s", ours, theirs)
    native.stop()
    return row


class _Counted:
    """Environments that count their steps, and pause while the other side is measured."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.count = environment.count
        self.env_steps = 0
        self.may_run = threading.Event()

    def reset(self, seed: int | None, options: ResetOptions | None = None) -> dict[str, Array]:
        return self._environment.reset(seed, options)

    def step(self, actions: Array) -> StepResult:
        self.may_run.wait()
        self.env_steps += self.count
        return self._environment.step(actions)

    def close(self) -> None:
        self._environment.close()


@contextmanager
def _collecting(environments: int) -> Generator[_Counted]:
    counted = _Counted(make_environment(_ENV, environments, {}))
    stop = threading.Event()
    with (
        broker_process() as broker,
        running(_sample, broker.address),
        Client(broker.address) as client,
    ):
        collector = Collector(client, counted, seed=1)
        thread = threading.Thread(target=collector.run, args=(stop,))
        thread.start()
        client.policy_update()
        try:
            yield counted
        finally:
            stop.set()
            counted.may_run.set()
            thread.join()
            counted.close()


def _sample(address: str) -> None:
    """Runs a learner that takes every batch and does not train."""
    own: dict[str, Any] = {"address": address, "run": RUN}
    config = PPOConfig().environment(_ENV, env_config={"headrace": own})
    config.env_runners(num_env_runners=0).training(train_batch_size_per_learner=_TRAIN_BATCH)
    config.rl_module(model_config={"fcnet_hiddens": [256, 256]})
    runner = BrokerEnvRunner(config=config, worker_index=0)
    while True:
        runner.sample()
