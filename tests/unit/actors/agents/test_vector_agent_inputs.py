"""What a simulator may hand to a VectorAgent, and what it is told otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.memory_client import MemoryClient

from headrace.actors.agents.agent import Agent
from headrace.actors.agents.vector_agent import VectorAgent
from headrace.actors.recording.step_result import StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError

NONE = np.zeros(2, bool)


def seen(count: int) -> dict[str, Array]:
    return {"obs": np.ones((count, 4), np.float32)}


def test_an_error_about_observations_names_what_came_and_what_is_expected() -> None:
    with pytest.raises(ConfigError, match=r"'obs' is float64 of shape \(3,\).*expects float32"):
        Agent(MemoryClient()).act(np.ones(3), 0.0)


@pytest.mark.parametrize("dress", [np.float64, np.float16, np.int32, list])
def test_observations_are_recorded_in_the_dtype_that_the_policy_declares(dress: Any) -> None:
    client = MemoryClient(fragment_steps=2)
    agent = Agent(client, seed=0)
    observation = [1, 1, 1, 1] if dress is list else np.ones(4, dress)
    for t in range(4):
        assert agent.act(observation, 0.0) is not None
        agent.record(observation, 1.0, terminated=t == 2)
    assert [pushed.env_steps for pushed in client.pushed] == [2, 2]
    for chunk in (chunk for pushed in client.pushed for chunk in pushed.chunks):
        assert chunk.columns["obs"].dtype == np.float32
        assert chunk.columns["obs"].tolist() == [[1.0] * 4] * (chunk.lookback + chunk.length + 1)


def test_an_observation_that_changes_its_dtype_later_is_converted_or_refused() -> None:
    agent = Agent(MemoryClient(), seed=0)
    agent.act(np.ones(4, np.float32), 0.0)
    agent.record(np.ones(4), 1.0)
    agent.act(np.ones(4), 0.0)
    with pytest.raises(ConfigError, match=r"'obs' is <U1 of shape \(4,\)"):
        agent.record(["1"] * 4, 1.0)
    agent.record(np.ones(4), 1.0)


def test_a_bad_info_leaves_the_step_to_be_recorded_again() -> None:
    client = MemoryClient(fragment_steps=2, infos=("speed",))
    agent = Agent(client, seed=0)
    agent.act(np.ones(4, np.float32))
    agent.record(np.ones(4, np.float32), 1.0)
    agent.act(np.ones(4, np.float32))
    with pytest.raises(ConfigError, match="the info 'speed', which is not a number"):
        agent.record(np.ones(4, np.float32), 2.0, terminated=True, info={"speed": "fast"})
    agent.record(np.ones(4, np.float32), 2.0, terminated=True, info={"speed": 3.0})
    (chunk,) = client.pushed[0].chunks
    assert (chunk.length, chunk.terminated, chunk.episode_return) == (2, True, 3.0)


def test_a_reward_that_float32_cannot_hold_drops_its_episode() -> None:
    client = MemoryClient(fragment_steps=10)
    agent = VectorAgent(client, 2, seed=0)
    for t in range(10):
        assert agent.act(seen(2), 0.0) is not None
        rewards = np.array([1.0, 1e39 if t == 1 else 1.0])
        agent.record(StepResult(seen(2), rewards, NONE, NONE, {}))
    chunks = client.pushed[0].chunks
    assert all(np.isfinite(chunk.columns["rewards"]).all() for chunk in chunks)
    assert client.broken == (1, 1)


@pytest.mark.parametrize(
    ("observations", "reason"),
    [
        (np.ones((2, 4), np.float32), 'write {"obs": observations}'),
        ({"obs": np.ones((3, 4), np.float32)}, "for 2 environments it has 2 rows"),
        ({"obs": np.float32(1.0)}, "for 2 environments it has 2 rows"),
    ],
)
def test_rows_of_another_number_of_environments_are_refused(observations: Any, reason: str) -> None:
    agent = VectorAgent(MemoryClient(), 2, seed=0)
    with pytest.raises(ConfigError) as refused:
        agent.act(observations, 0.0)
    assert reason in str(refused.value)


@pytest.mark.parametrize("final", [None, [np.ones(4)], {2: {"obs": np.ones(4)}}, {0: None}])
def test_final_observations_of_no_environment_are_refused(final: Any) -> None:
    agent = VectorAgent(MemoryClient(), 2, seed=0)
    assert agent.act(seen(2), 0.0) is not None
    ended = np.array([True, False])
    with pytest.raises(ConfigError, match="final_observations are a dict, by index"):
        agent.record(StepResult(seen(2), np.ones(2), ended, ~ended & False, final))


def ended(index: int) -> Array:
    flags = NONE.copy()
    flags[index] = True
    return flags


def test_an_episode_that_ended_needs_its_last_observation_or_a_reset() -> None:
    agent = VectorAgent(MemoryClient(), 2, seed=0)
    assert agent.act(seen(2), 0.0) is not None
    agent.record(StepResult(seen(2), np.ones(2), ended(0), NONE, {}))
    assert agent.act(seen(2), 0.0) is not None
    with pytest.raises(ConfigError, match="environment 0 ended in the last step: give its last"):
        agent.record(StepResult(seen(2), np.ones(2), NONE, NONE, {}))
    agent.record(StepResult(seen(2), np.ones(2), NONE, NONE, {}, is_reset_step=ended(0)))


def test_a_last_observation_of_an_episode_that_continues_is_refused() -> None:
    agent = VectorAgent(MemoryClient(), 2, seed=0)
    assert agent.act(seen(2), 0.0) is not None
    final = {1: {"obs": np.ones(4, np.float32)}}
    with pytest.raises(ConfigError, match="environment 1, whose episode has not ended"):
        agent.record(StepResult(seen(2), np.ones(2), ended(0), NONE, final))
