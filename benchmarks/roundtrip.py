"""The time from a finished fragment to new weights, against RLlib's external runner."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import rllink
from benchmarks.cartpole import RUN, make_batch
from benchmarks.pairs import Row, compare
from benchmarks.processes import broker_process, pipe, running
from headrace.actors.connection.client import Client
from headrace.learner.connection.link import LearnerStopping
from headrace.learner.runner.env_runner import BrokerEnvRunner

_EPISODES, _STEPS = 20, 200


def run() -> list[Row]:
    """Measures a fragment of 4,000 steps, without training in between."""
    with _ours() as our_trip, _theirs() as their_trip:
        return [compare("4,000 steps, default MLP", "s", our_trip, their_trip)]


@contextmanager
def _ours() -> Generator[Callable[[], float]]:
    go, told = pipe()
    with broker_process() as address:
        own: dict[str, Any] = {"address": address, "run": RUN}
        config = rllink.make_config(headrace=own)
        config.training(train_batch_size_per_learner=_EPISODES * _STEPS)
        runner = BrokerEnvRunner(config=config, worker_index=0)

        weights = runner.module.get_state()  # stands for a learner's; there is no training here

        def learn() -> None:
            with contextlib.suppress(LearnerStopping):
                for number in itertools.count(1):
                    runner.set_state({"rl_module": weights, "weights_seq_no": number})
                    runner.sample()

        learner = threading.Thread(target=learn)
        with running(_push_and_wait, address, told):
            learner.start()
            go.recv()
            try:
                yield lambda: _timed(go)
            finally:
                runner.interrupt()
                learner.join()
                runner.stop()


@contextmanager
def _theirs() -> Generator[Callable[[], float]]:
    go, told = pipe()
    with (
        rllink.server() as (runner, port),
        running(rllink.round_trips, port, _EPISODES, _STEPS, told),
    ):
        number = 0
        weights = runner.module.get_state()

        def trip() -> float:
            nonlocal number
            number += 1
            started_s = time.perf_counter()
            go.send(True)
            runner.sample()
            runner.set_state({"rl_module": weights, "weights_seq_no": number})
            go.recv()
            return time.perf_counter() - started_s

        yield trip


def _timed(go: Connection) -> float:
    started_s = time.perf_counter()
    go.send(True)
    go.recv()
    return time.perf_counter() - started_s


def _push_and_wait(address: str, told: Connection) -> None:
    """Pushes a fragment at each request, and answers when newer weights are decoded."""
    batch = make_batch(_EPISODES, _STEPS)
    with Client(address, actor="benchmark") as client:
        client.policy_update()
        told.send(None)
        while told.recv():
            permit = client.begin()
            if permit is None:
                return
            client.push(batch, permit.update, _EPISODES * _STEPS)
            client.policy_update_after(permit.update.version)
            told.send(None)
