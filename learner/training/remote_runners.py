"""Ends RLlib's remote runners, even those that wait for data that will not come."""

from __future__ import annotations

import logging
from typing import Any

import ray
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from headrace.learner.training.ray_errors import cause_of
from headrace.protocol.errors import ConfigError

_ASK_TIMEOUT_S = 120.0
_LOG = logging.getLogger("headrace.learner")


def require_runners(algorithm: Algorithm) -> None:
    """Asks the remote runners, on whichever hosts Ray placed them, whether they can work there.

    RLlib goes on without runners that cannot be made, and restarts those whose `sample()` raises
    once a minute, both without a word.

    Raises:
        ConfigError: one cannot; the message says what its host lacks.
    """
    group = algorithm.env_runner_group
    if group is None or not group.num_remote_env_runners():
        return
    for number, runner in _manager(group).actors().items():
        fault: str | None
        try:
            fault = ray.get(runner.find_fault.remote(), timeout=_ASK_TIMEOUT_S)
        except RayError as error:
            fault = cause_of(error)
        if fault is not None:
            raise ConfigError(
                f"remote runner {number} cannot work: {fault}; each host needs the packages of the "
                "run, its invitation at the same path, and a route to the broker's address"
            )


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
    for runner in _manager(group).actors().values():
        ray.kill(runner)


def _manager(group: EnvRunnerGroup) -> Any:
    return group._worker_manager  # pyright: ignore[reportPrivateUsage] # no public API
