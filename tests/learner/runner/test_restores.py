"""Restored algorithms, and runners that die, with a live fleet."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.rllib.algorithms.algorithm import Algorithm
from support.algorithms import algorithm_of, collecting, make_config, torch_module_of
from support.running import BrokerThread, Context, wait_until

from headrace.protocol.errors import RefusedError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def version_of(broker: BrokerThread) -> tuple[int, int]:
    """The newest published version; (0, 0) before the first one."""
    epoch, number = map(int, (broker.status.version or "0.0").split("."))
    return epoch, number


def train_until_newer(algorithm: Algorithm, broker: BrokerThread, version: tuple[int, int]) -> None:
    for _ in range(30):
        algorithm.train()
        if version_of(broker) > version:
            return
    raise AssertionError(f"no version after {version} was published")


def test_restoring_a_live_algorithm_begins_an_epoch_with_the_restored_weights(
    broker: BrokerThread, context: Context, tmp_path: Path
) -> None:
    with algorithm_of(make_config(broker)) as algorithm, collecting(broker, context):
        algorithm.train()
        path = algorithm.save_to_path(tmp_path)
        saved = {name: t.clone() for name, t in torch_module_of(algorithm).state_dict().items()}
        for _ in range(3):
            algorithm.train()
        epoch, number = version_of(broker)
        assert epoch == 1
        algorithm.restore_from_path(path)
        for name, tensor in torch_module_of(algorithm).state_dict().items():
            np.testing.assert_array_equal(tensor, saved[name])
        algorithm.train()
        restored = version_of(broker)
        assert restored[0] == 2
        assert restored[1] < number
        wait_until(lambda: str(broker.status.actors[0].version) >= "2.")


def test_a_dead_remote_runner_is_replaced_and_versions_continue(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).env_runners(num_env_runners=2)
    config.fault_tolerance(restart_failed_env_runners=True)
    with algorithm_of(config) as algorithm, collecting(broker, context):
        train_until_newer(algorithm, broker, (0, 0))
        assert algorithm.env_runner_group is not None
        pids: list[Any] = algorithm.env_runner_group.foreach_env_runner(
            lambda _: os.getpid(), local_env_runner=False
        )
        os.kill(pids[0], signal.SIGKILL)
        before = version_of(broker)
        for _ in range(30):
            algorithm.train()
            if algorithm.env_runner_group.num_healthy_remote_workers() == 2:
                break
        train_until_newer(algorithm, broker, before)
        assert version_of(broker)[0] == 1
        wait_until(lambda: len(broker.status.learners) >= 2)


def test_a_second_algorithm_on_one_broker_is_refused_with_a_hint(
    broker: BrokerThread, context: Context
) -> None:
    with (
        algorithm_of(make_config(broker)) as first,
        collecting(broker, context),
        algorithm_of(make_config(broker)) as second,
    ):
        first.train()
        with pytest.raises(RefusedError, match="takeover"):
            second.train()
        first.train()
