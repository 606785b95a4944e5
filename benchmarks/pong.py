"""Bytes and speed of Pong's pictures: stacked by simulator or policy, with and without LZ4."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import FrameStackObservation, TransformObservation

from benchmarks.pairs import Row, alone, compare
from benchmarks.processes import broker_process, running
from examples.pong.environment import make_pong
from examples.pong.train import FRAMES, SCREEN, make_config
from headrace.actors.connection.client import Client
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.recording.step_result import StepResult
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import SingleEnvironment
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.arrays import Array
from headrace.protocol.compression import compress, decompress
from headrace.protocol.messages import Purpose
from headrace.protocol.trajectory import TrajectoryBatch, pack_batch

_MEASURED_S = 3.0
_PAIRS = 3
_TRAIN_BATCH = 20_000
"""Large enough that the actor never waits for credit."""


def run() -> list[Row]:
    """Measures one picture per step, stacked by policy and learner, and four by the simulator."""
    one_name, four_name = "one picture per step", f"{FRAMES} pictures per step"
    with (
        _acting(frames_sent=1, compression="lz4") as one,
        _acting(frames_sent=1, compression="none") as one_plain,
        _acting(frames_sent=FRAMES, compression="lz4") as four,
        _acting(frames_sent=FRAMES, compression="none") as four_plain,
    ):
        unit = "env steps/s"
        return [
            compare(f"{one_name}, against {FRAMES}", unit, one.rate, four.rate, _PAIRS),
            compare(f"{one_name}, LZ4 against none", unit, one.rate, one_plain.rate, _PAIRS),
            compare(f"{four_name}, LZ4 against none", unit, four.rate, four_plain.rate, _PAIRS),
            *_sizes(one_name, one_plain),
            *_sizes(four_name, four_plain),
        ]


class _KeepingClient(Client):
    """Keeps the newest batch."""

    batch = TrajectoryBatch({})
    env_steps = 0

    def push(
        self,
        batch: TrajectoryBatch,
        update: PolicyUpdate,
        env_steps: int,
        *,
        task: str | None = None,
        purpose: Purpose = "train",
        more: bool = False,
    ) -> int:
        self.batch, self.env_steps = batch, env_steps
        return super().push(batch, update, env_steps, task=task, purpose=purpose, more=more)


class _PausingEnvironment(SingleEnvironment):
    """Counts its steps, and pauses while another one is measured."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.env_steps = 0
        self.may_run = threading.Event()

    def step(self, actions: Array) -> StepResult:
        self.may_run.wait()
        self.env_steps += 1
        return super().step(actions)


@dataclass
class _Actor:
    """A running actor, with the client and environment that it is measured by."""

    client: _KeepingClient
    environment: _PausingEnvironment
    stop: threading.Event = field(default_factory=threading.Event)

    def rate(self) -> float:
        """Returns env steps per second."""
        environment = self.environment
        environment.may_run.set()
        before, started_s = environment.env_steps, time.perf_counter()
        threading.Event().wait(_MEASURED_S)
        rate = (environment.env_steps - before) / (time.perf_counter() - started_s)
        environment.may_run.clear()
        return rate


@contextmanager
def _acting(*, frames_sent: int, compression: str) -> Generator[_Actor]:
    """Runs an actor that sends `frames_sent` pictures per step, and a learner without training."""
    environment = _PausingEnvironment(_stacked(frames_sent))
    with (
        broker_process() as broker,
        running(_sample, broker.address, frames_sent, compression),
        _KeepingClient(broker.address) as client,
    ):
        actor = _Actor(client, environment)
        collector = Collector(client, environment, seed=1)
        thread = threading.Thread(target=collector.run, args=(actor.stop,))
        thread.start()
        client.policy_update()
        try:
            yield actor
        finally:
            actor.stop.set()
            environment.may_run.set()
            thread.join()
            environment.close()


def _stacked(frames: int) -> gymnasium.Env[Any, Any]:
    pong = make_pong()
    if frames == 1:
        return pong
    return TransformObservation(
        FrameStackObservation(pong, frames),  # [frames, 84, 84, 1]
        lambda stack: np.ascontiguousarray(np.moveaxis(stack[..., 0], 0, -1)),
        _screen(frames),
    )


def _screen(frames: int) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(0, 255, (*SCREEN.shape[:2], frames), np.uint8)


def _sample(address: str, frames_sent: int, compression: str) -> None:
    """Runs a learner that takes every batch and does not train."""
    config = make_config(address, frames=FRAMES // frames_sent, compression=compression)
    config.environment(observation_space=_screen(frames_sent))
    config.training(train_batch_size_per_learner=_TRAIN_BATCH)
    runner = BrokerEnvRunner(config=config, worker_index=0)
    while True:
        runner.sample()


def _sizes(name: str, actor: _Actor) -> list[Row]:
    """Returns the newest batch's bytes, and LZ4's time for it, per env step."""
    payload, env_steps = pack_batch(actor.client.batch), actor.client.env_steps
    compression, compressed = compress("lz4", payload)

    def pack() -> object:
        return compress(compression, payload)

    def unpack() -> object:
        return decompress(compression, compressed)

    return [
        alone(f"{name}, no compression", "bytes/env step", len(payload) / env_steps),
        alone(f"{name}, LZ4", "bytes/env step", len(compressed) / env_steps),
        alone(f"{name}, to compress", "µs/env step", _spent_us(pack) / env_steps),
        alone(f"{name}, to decompress", "µs/env step", _spent_us(unpack) / env_steps),
    ]


def _spent_us(work: Callable[[], object]) -> float:
    rounds, started_s = 10, time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - started_s) / rounds * 1e6
