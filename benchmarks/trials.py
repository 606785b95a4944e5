"""Complete training runs: a broker, actors and a driver as processes, until a target return."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec
import ray
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from benchmarks.processes import broker_process, pipe, running
from headrace.actors.connection.client import Client
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import make_environment
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.identity import PolicyVersion

_RAY_CPUS = 8
"""Ray only counts them: every remote runner, learner and aggregator requests one."""
_END_S = 60.0

MakeConfig = Callable[[], AlgorithmConfig]


@dataclass(frozen=True)
class Trial:
    """A training run, its target and its limits.

    Attributes:
        make_config: without environment and runners; a module-level function, since it is pickled
            for the driver's process.
        runners: for `config.env_runners()`.
        learners: for `config.learners()`.
        head_start_s: time from the driver's start to the first actor's.
    """

    name: str
    env: str
    make_config: MakeConfig
    target_return: float
    limit_s: float
    runners: dict[str, Any] = field(default_factory=dict)
    learners: dict[str, Any] = field(default_factory=dict)
    actors: int = 2
    head_start_s: float = 0.0
    seed: int = 1
    max_policy_lag: int | None = None


class Training(msgspec.Struct, frozen=True):
    """The result of a training run.

    Attributes:
        wall_s: time since before the algorithm was built.
        since_data_s: time since the first sampled step.
    """

    reached: bool
    episode_return_mean: float
    env_steps: int
    wall_s: float
    since_data_s: float


class Outcome(msgspec.Struct, frozen=True):
    """The result of a trial.

    Attributes:
        versions_rise: whether no actor ever saw an older version after a newer one.
        versions: how many different versions the first actor saw.
    """

    name: str
    training: Training
    versions_rise: bool
    versions: int


def run_trial(trial: Trial) -> Outcome:
    """Trains until the target is reached or time is up."""
    driver, driver_end = pipe()
    watches: list[Connection] = []
    with broker_process() as broker, ExitStack() as stack:
        process = stack.enter_context(running(_drive, trial, broker.address, driver_end))
        threading.Event().wait(trial.head_start_s)
        for index in range(trial.actors):
            ours, theirs = pipe()
            stack.enter_context(running(_act, trial.env, broker.address, index, theirs))
            watches.append(ours)
        training = wait_for_training(driver, process, trial.limit_s)
        seen = [_stop(watch) for watch in watches]
        driver.poll(_END_S)  # Ray's own processes end with it
    rise = all(rises for rises, _ in seen)
    return Outcome(trial.name, training, versions_rise=rise, versions=seen[0][1])


def wait_for_training(driver: Connection, process: BaseProcess, limit_s: float) -> Training:
    """Returns the driver's result.

    Raises:
        RuntimeError: the driver died.
        TimeoutError: it sent nothing within its time limit and two minutes.
    """
    ready = connection.wait([driver, process.sentinel], limit_s + 120)
    if not ready:
        raise TimeoutError("the driver never ended")
    if driver not in ready:
        raise RuntimeError("the driver died")
    training: Training = driver.recv()
    return training


def _stop(watch: Connection) -> tuple[bool, int]:
    watch.send(None)
    answer: tuple[bool, int] = watch.recv()
    return answer


def _drive(trial: Trial, address: str, to_parent: Connection) -> None:
    own = {"address": address, "run": "trial", "max_policy_lag": trial.max_policy_lag}
    config = trial.make_config().environment(trial.env, env_config={"headrace": own})
    runners: dict[str, Any] = {"num_env_runners": 0, **trial.runners}
    learners: dict[str, Any] = {"num_learners": 0, **trial.learners}
    config.env_runners(env_runner_cls=BrokerEnvRunner, **runners)
    config.learners(**learners)
    train_until(config, trial.target_return, trial.limit_s, to_parent, seed=trial.seed)


def train_until(
    config: AlgorithmConfig,
    target_return: float,
    limit_s: float,
    to_parent: Connection,
    *,
    seed: int,
) -> None:
    """Trains in a process of its own; sends `Training`, and None once Ray has shut down."""
    ray.init(num_cpus=_RAY_CPUS, include_dashboard=False, logging_level=logging.ERROR)
    started_s = time.monotonic()
    algorithm = config.debugging(log_level="ERROR", seed=seed).build_algo()
    first_data_s, best, env_steps = started_s, float("-inf"), 0
    while best < target_return and time.monotonic() - started_s < limit_s:
        result = algorithm.train().get("env_runners", {})
        first_data_s = time.monotonic() if not env_steps else first_data_s
        env_steps = int(result.get("num_env_steps_sampled_lifetime", 0))
        best = max(best, float(result.get("episode_return_mean", -math.inf)))
    ended_s = time.monotonic()
    to_parent.send(
        Training(
            reached=best >= target_return,
            episode_return_mean=best,
            env_steps=env_steps,
            wall_s=ended_s - started_s,
            since_data_s=ended_s - first_data_s,
        )
    )
    algorithm.stop()
    ray.shutdown()
    to_parent.send(None)


def _act(env: str, address: str, index: int, to_parent: Connection) -> None:
    """Runs an actor that watches policy versions; reports them when it is asked to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    with Client(address, actor=f"actor-{index}") as client:
        environment = make_environment(env, 1, {})
        collector = Collector(client, environment, seed=index)
        thread = threading.Thread(target=collector.run, args=(stop,), daemon=True)
        thread.start()
        newest, rises, versions = PolicyVersion(0, 0), True, 0
        while not to_parent.poll(0.02):
            version = client.newest_version
            if version is not None and version != newest:
                rises, newest, versions = rises and version > newest, version, versions + 1
        to_parent.send((rises, versions))
        stop.set()
        thread.join(5.0)
