from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace.actors.recording.step_result import StepResult
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.trajectory import Chunk, TrajectoryBatch, pack_batch, unpack_batch


class Bench:
    """n environments whose observations count all steps so far, 100 apart."""

    def __init__(self, environments: int = 1) -> None:
        self.now_s = 0.0
        self.t = 0
        self.offsets = 100 * np.arange(environments)
        self.recorder = VectorRecorder(environments, lambda: self.now_s)

    @property
    def observations(self) -> dict[str, Any]:
        return {"obs": (self.t + self.offsets)[:, None].astype(np.float32)}

    def step(self, done: list[int] | None = None, **changes: Any) -> None:
        before = self.observations
        self.t += 1
        self.now_s += 1.0
        count = len(self.offsets)
        terminated = np.isin(np.arange(count), done or [])
        fields: dict[str, Any] = {
            "observations": self.observations,
            "rewards": np.full(count, float(self.t)),
            "terminated": terminated,
            "truncated": np.zeros(count, bool),
            "final_observations": {
                index: {"obs": np.array([-1.0], np.float32)} for index in done or []
            },
        }
        outputs = {"actions": self.t + self.offsets}
        self.recorder.record(before, outputs, StepResult(**{**fields, **changes}))

    def take(self) -> tuple[TrajectoryBatch, int]:
        batch, env_steps = self.recorder.take_batch(self.observations)
        return unpack_batch(pack_batch(batch)), env_steps


def obs(chunk: Chunk) -> list[float]:
    return [float(value) for value in chunk.columns["obs"][:, 0]]


def test_an_unfinished_episode_is_one_chunk_with_an_extra_observation() -> None:
    bench = Bench()
    bench.step()
    bench.step()
    batch, env_steps = bench.take()
    [chunk] = batch
    assert env_steps == 2
    assert obs(chunk) == [0, 1, 2]
    assert chunk.columns["actions"].tolist() == [1, 2]
    assert chunk.columns["rewards"].tolist() == [1, 2]
    assert not chunk.is_done
    assert batch.modules[DEFAULT_MODULE].columns["rewards"].dtype == np.float32


def test_an_episode_continues_across_batches() -> None:
    bench = Bench()
    bench.step()
    [first] = bench.take()[0]
    bench.step()
    bench.step(done=[0])
    [second] = bench.take()[0]
    assert first.episode_id == second.episode_id
    assert (first.t_started, second.t_started) == (0, 1)
    assert obs(second) == [1, 2, -1]
    assert (second.terminated, second.episode_return, second.episode_length) == (True, 6.0, 3)
    assert second.episode_s == 3.0


def test_an_episode_continues_after_a_discarded_batch() -> None:
    bench = Bench()
    bench.step()
    assert bench.recorder.discard_batch() == 1
    bench.step()
    bench.step(done=[0])
    [chunk] = bench.take()[0]
    assert (chunk.t_started, obs(chunk)) == (1, [1, 2, -1])
    assert (chunk.episode_return, chunk.episode_length) == (6.0, 3)


def test_episodes_that_end_within_a_batch_are_separate_chunks() -> None:
    bench = Bench()
    bench.step()
    bench.step(done=[0])
    bench.step()
    batch, env_steps = bench.take()
    first, second = batch
    assert env_steps == 3
    assert obs(first) == [0, 1, -1]
    assert obs(second) == [2, 3]
    assert first.episode_id != second.episode_id
    assert (second.t_started, second.is_done) == (0, False)


def test_environments_that_step_together_are_recorded_separately() -> None:
    bench = Bench(environments=2)
    bench.step()
    bench.step(done=[1])
    bench.step()
    batch, env_steps = bench.take()
    chunks = {tuple(obs(chunk)) for chunk in batch}
    assert env_steps == 6
    assert chunks == {(0, 1, 2, 3), (100, 101, -1), (102, 103)}


def test_a_step_that_only_resets_belongs_to_no_episode() -> None:
    bench = Bench(environments=2)
    bench.step(done=[1], final_observations={})
    bench.step(is_reset_step=np.array([False, True]))
    bench.step()
    batch, env_steps = bench.take()
    chunks = {tuple(obs(chunk)) for chunk in batch}
    assert env_steps == 5
    assert chunks == {(0, 1, 2, 3), (100, 101), (102, 103)}


def test_an_environment_may_have_no_open_steps_at_the_end_of_a_batch() -> None:
    bench = Bench(environments=2)
    bench.step(done=[0])
    batch, _ = bench.take()
    bench.step()
    again, _ = bench.take()
    assert [obs(chunk) for chunk in batch] == [[0, -1], [100, 101]]
    assert [obs(chunk) for chunk in again] == [[1, 2], [101, 102]]


def test_a_truncated_episode_is_not_terminated() -> None:
    bench = Bench()
    bench.step(truncated=np.array([True]), final_observations={0: {"obs": np.array([9.0])}})
    [chunk] = bench.take()[0]
    assert (chunk.terminated, chunk.truncated) == (False, True)


def test_a_batch_needs_a_step() -> None:
    with pytest.raises(LocalProtocolError, match="at least one step"):
        Bench().take()
