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
    to_child, to_parent = pipe()
    with broker_process() as broker:
        own: dict[str, Any] = {"address": broker.address, "run": RUN}
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
        with running(_push_and_wait, broker.address, to_parent):
            learner.start()
            to_child.recv()
            try:
                yield lambda: _timed(to_child)
            finally:
                runner.interrupt()
                learner.join()
                runner.stop()


@contextmanager
def _theirs() -> Generator[Callable[[], float]]:
    to_child, to_parent = pipe()
    with (
        rllink.server() as (runner, port),
        running(rllink.round_trips, port, _EPISODES, _STEPS, to_parent),
    ):
        number = 0
        weights = runner.module.get_state()

        def trip() -> float:
            nonlocal number
            number += 1
            started_s = time.perf_counter()
            to_child.send(True)
            runner.sample()
            runner.set_state({"rl_module": weights, "weights_seq_no": number})
            to_child.recv()
            return time.perf_counter() - started_s

        yield trip


def _timed(to_child: Connection) -> float:
    started_s = time.perf_counter()
    to_child.send(True)
    to_child.recv()
    return time.perf_counter() - started_s


def _push_and_wait(address: str, to_parent: Connection) -> None:
    """Pushes a fragment at each request, and answers when newer weights are decoded."""
    batch = make_batch(_EPISODES, _STEPS)
    with Client(address, actor="benchmark") as client:
        client.policy_update()
        to_parent.send(None)
        while to_parent.recv():
            permit = client.begin()
            if permit is None:
                return
            client.push(batch, permit.update, _EPISODES * _STEPS)
            client.policy_update_after(permit.update.version)
            to_parent.send(None)
