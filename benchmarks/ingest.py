"""Env steps per second into `sample()`, including episodes, against RLlib's external runner."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from benchmarks import rllink
from benchmarks.cartpole import RUN, make_batch
from benchmarks.load import Payloads, run_load
from benchmarks.pairs import Row, compare
from benchmarks.processes import broker_process, pipe, running
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.trajectory import pack_batch

_CASES = ((25, 20), (1, 200), (20, 200))
"""Episodes per message, and steps per episode."""
_OUR_STEPS, _THEIR_STEPS = 400_000, 10_000
_CLIENTS = 2


def run() -> list[Row]:
    """Measures messages of different shapes."""
    return [_compare(episodes, steps) for episodes, steps in _CASES]


def _compare(episodes: int, steps: int) -> Row:
    with _our_runner(episodes, steps) as ours, rllink.server() as (theirs, port):
        to_child, to_parent = pipe()
        with running(rllink.push_messages, port, episodes, steps, to_parent):

            def our_rate() -> float:
                return _rate(ours, _OUR_STEPS)

            def their_rate() -> float:
                count = max(1, _THEIR_STEPS // (episodes * steps))
                started_s = time.perf_counter()
                to_child.send(count)
                sampled = 0
                while sampled < count * episodes * steps:
                    sampled += sum(len(episode) for episode in theirs.sample())
                return sampled / (time.perf_counter() - started_s)

            return compare(
                f"{episodes} × {steps}-step episodes per message",
                "env steps/s",
                our_rate,
                their_rate,
            )


def _rate(runner: BrokerEnvRunner, env_steps: int) -> float:
    started_s = time.perf_counter()
    sampled = 0
    while sampled < env_steps:
        sampled += sum(len(episode) for episode in runner.sample())
    return sampled / (time.perf_counter() - started_s)


@contextmanager
def _our_runner(episodes: int, steps: int) -> Generator[BrokerEnvRunner]:
    batch = (pack_batch(make_batch(episodes, steps)), episodes * steps)
    stop, stopped = pipe()
    with broker_process() as broker:
        own: dict[str, Any] = {"address": broker.address, "run": RUN}
        config = rllink.make_config(headrace=own)
        config.training(train_batch_size_per_learner=16 * episodes * steps)
        runner = BrokerEnvRunner(config=config, worker_index=0)
        speeds = [float("inf")] * _CLIENTS
        with running(run_load, broker.address, speeds, Payloads(batch), stopped):
            try:
                yield runner
            finally:
                stop.send(None)
                runner.stop()
