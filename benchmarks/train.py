"""Seconds and env steps until PPO reaches 450 on CartPole, against RLlib's own sampling."""

from __future__ import annotations

import contextlib
import io
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.external.env_runner_server_for_external_inference import (
    EnvRunnerServerForExternalInference,
)
from ray.rllib.examples.envs.classes.utils.dummy_external_client import (
    _dummy_external_client,  # pyright: ignore[reportPrivateUsage]  # RLlib's only client
)

from benchmarks.algorithms import ppo
from benchmarks.pairs import Row
from benchmarks.processes import free_port, pipe, running
from benchmarks.rllink import ACTION, OBSERVATION
from benchmarks.trials import Training, Trial, run_trial, train_until, wait_for_training

_ENV = "CartPole-v1"
_RETURN, _LIMIT_S = 450.0, 400.0
_SEEDS = (1, 2, 3)
_POLICY_LAGS = (1, 0)
"""With 1, the default, the fleet continues while the learner trains; RLlib's runners wait."""

Train = Callable[[int], Training]


def run() -> list[Row]:
    """Trains with each seed in turn, with the same settings for all sides."""
    others: dict[str, Train] = {
        "RLlib, local runner": lambda seed: _native(seed, runners=0),
        "RLlib, 2 remote runners": lambda seed: _native(seed, runners=2),
        "RLlink example": _rllink,
    }
    ours: dict[int, list[Training]] = {lag: [] for lag in _POLICY_LAGS}
    theirs: dict[str, list[Training]] = {name: [] for name in others}
    for seed in _SEEDS:
        for lag, trained in ours.items():
            trained.append(_headrace(seed, lag))
        for name, train in others.items():
            theirs[name].append(train(seed))
    return [
        row
        for lag, trained in ours.items()
        for name, others_trained in theirs.items()
        for row in _rows(f"policy lag {lag}, against {name}", trained, others_trained)
    ]


def _rows(name: str, ours: list[Training], theirs: list[Training]) -> list[Row]:
    missed = sum(not training.reached for training in (*ours, *theirs))
    case = name + (f" ({missed} MISSED IT)" if missed else "")
    return [
        _row(case, "s", [one.wall_s for one in ours], [one.wall_s for one in theirs]),
        _row(case, "env steps", [one.env_steps for one in ours], [one.env_steps for one in theirs]),
    ]


def _row(case: str, unit: str, ours: list[float], theirs: list[float]) -> Row:
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    medians = [statistics.median(values) for values in (ours, theirs, ratios)]
    return Row(case, medians[0], medians[1], unit, medians[2], min(ratios), max(ratios))


def _headrace(seed: int, lag: int) -> Training:
    trial = Trial("headrace", _ENV, ppo, _RETURN, _LIMIT_S, seed=seed, max_policy_lag=lag)
    return run_trial(trial).training


def _native(seed: int, runners: int) -> Training:
    ours, theirs = pipe()
    with running(_train_natively, seed, runners, theirs) as process:
        return _wait(ours, process)


def _rllink(seed: int) -> Training:
    ours, theirs = pipe()
    port = free_port()
    with (
        running(_train_with_rllink, seed, port, theirs) as process,
        running(_act_for_rllink, port),
    ):
        return _wait(ours, process)


def _wait(driver: Connection, process: BaseProcess) -> Training:
    training = wait_for_training(driver, process, _LIMIT_S)
    driver.poll(30)  # Ray's own processes end with it
    return training


def _train_natively(seed: int, runners: int, to_parent: Connection) -> None:
    config = ppo().environment(_ENV).env_runners(num_env_runners=runners)
    train_until(config, _RETURN, _LIMIT_S, to_parent, seed=seed)


def _train_with_rllink(seed: int, port: int, to_parent: Connection) -> None:
    config: AlgorithmConfig = ppo().environment(
        observation_space=OBSERVATION, action_space=ACTION, env_config={"port": port}
    )
    config.env_runners(env_runner_cls=EnvRunnerServerForExternalInference, num_env_runners=0)
    train_until(config, _RETURN, _LIMIT_S, to_parent, seed=seed)


def _act_for_rllink(port: int) -> None:
    # The client ends only with its connection.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(ConnectionError):
        _dummy_external_client(port=port)
