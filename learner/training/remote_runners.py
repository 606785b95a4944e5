"""Ends RLlib's remote runners, even those that wait for data that will not come."""

from __future__ import annotations

import logging

import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.env.env_runner_group import EnvRunnerGroup

_LOG = logging.getLogger("headrace.learner")


def end_remote_runners(algorithm: Algorithm, timeout_s: float) -> None:
    """Lets remote runners say goodbye to the broker, and kills those that do not in time.

    `Algorithm.stop()` waits without limit for a runner whose `sample()` waits, as those of IMPALA
    and APPO do while no data comes. Call `BrokerLink.announce_stop` first, which ends such a
    `sample()` if there is a broker; then this; then `Algorithm.stop()`.
    """
    for group in (algorithm.env_runner_group, algorithm.eval_env_runner_group):
        if group is not None and group.num_remote_env_runners():
            _end(group, timeout_s)


def _end(group: EnvRunnerGroup, timeout_s: float) -> None:
    ended = group.foreach_env_runner(
        lambda runner: runner.stop(),
        local_env_runner=False,
        healthy_only=False,
        timeout_seconds=timeout_s,
    )
    if len(ended) < group.num_remote_env_runners():
        _LOG.warning("killing remote runners that did not end within %.0f s", timeout_s)
    manager = group._worker_manager  # pyright: ignore[reportPrivateUsage] # no public API
    for runner in manager.actors().values():
        ray.kill(runner)
