"""A VectorAgent with a broker client in memory, and a policy whose greedy action is 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from support.memory_client import MemoryClient

from headrace.actors.agents.agent import Agent
from headrace.actors.agents.vector_agent import VectorAgent
from headrace.actors.recording.step_result import StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Assignment


def seen(count: int) -> dict[str, Array]:
    return {"obs": np.ones((count, 4), np.float32)}


@dataclass
class Simulators:
    """Environments that step together, with episodes of these lengths and immediate resets."""

    lengths: tuple[int, ...]
    client: MemoryClient = field(default_factory=MemoryClient)

    def __post_init__(self) -> None:
        self.agent = VectorAgent(self.client, len(self.lengths), seed=0)
        self.t = [0] * len(self.lengths)
        self.actions: list[list[int]] = []

    def step(self, steps: int = 1) -> None:
        for _ in range(steps):
            actions = self.agent.act(seen(len(self.lengths)), 0.0)
            assert actions is not None
            self.actions.append(actions.tolist())
            self.t = [t + 1 for t in self.t]
            ended = np.asarray(self.t) == np.asarray(self.lengths)
            self.t = [0 if is_over else t for t, is_over in zip(self.t, ended, strict=True)]
            self.agent.record(
                StepResult(
                    seen(len(self.lengths)),
                    np.arange(len(self.lengths), dtype=np.float64) + 1,
                    ended,
                    np.zeros(len(self.lengths), bool),
                    {int(i): {"obs": np.ones(4, np.float32)} for i in np.flatnonzero(ended)},
                )
            )


def test_batches_have_the_size_that_credit_grants() -> None:
    simulators = Simulators((4, 100), MemoryClient(fragment_steps=10))
    simulators.step(10)
    assert [pushed.env_steps for pushed in simulators.client.pushed] == [10, 10]
    first = simulators.client.pushed[0].chunks
    assert [(c.length, c.is_done, c.episode_length) for c in first] == [
        (4, True, 4),
        (1, False, 0),
        (5, False, 0),
    ]


def test_an_agent_without_credit_does_not_act() -> None:
    simulators = Simulators((5,), MemoryClient(credits=0))
    assert simulators.agent.act(seen(1), 0.0) is None
    assert simulators.client.waits == 1


def test_record_needs_an_act_before_it() -> None:
    agent = Agent(MemoryClient())
    with pytest.raises(LocalProtocolError, match=r"act\(\) before record"):
        agent.record(np.ones(4, np.float32), 1.0)


@pytest.mark.parametrize("dress", [np.bool_, np.array, lambda flag: np.array([flag])])
def test_flags_in_any_dress_end_one_episode(dress: Any) -> None:
    client = MemoryClient(fragment_steps=20)
    agent = Agent(client, seed=0)
    for t in range(20):
        agent.act(np.ones(4, np.float32), 0.0)
        agent.record(np.ones(4, np.float32), 1.0, terminated=dress(t == 19), truncated=dress(False))
    [chunk] = client.pushed[0].chunks
    assert (chunk.length, chunk.episode_return, chunk.terminated) == (20, 20.0, True)


def test_terminated_wins_over_truncated() -> None:
    client = MemoryClient(fragment_steps=1)
    agent = Agent(client, seed=0)
    agent.act(np.ones(4, np.float32), 0.0)
    agent.record(np.ones(4, np.float32), 1.0, terminated=True, truncated=True)
    [chunk] = client.pushed[0].chunks
    assert (chunk.terminated, chunk.truncated) == (True, False)


def test_acting_twice_without_a_record_between_is_an_error() -> None:
    agent = Agent(MemoryClient(), seed=0)
    agent.act(np.ones(4, np.float32), 0.0)
    with pytest.raises(LocalProtocolError, match=r"act\(\) again before record\(\)"):
        agent.act(np.ones(4, np.float32), 0.0)
    agent.record(np.ones(4, np.float32), 1.0)
    assert agent.act(np.ones(4, np.float32), 0.0) is not None


def test_a_dropped_episode_is_not_delivered_and_the_next_one_begins() -> None:
    client = MemoryClient(fragment_steps=3)
    agent = Agent(client, seed=0)
    for _ in range(2):
        agent.act(np.ones(4, np.float32), 0.0)
        agent.record(np.ones(4, np.float32), 7.0)
    agent.act(np.ones(4, np.float32), 0.0)
    agent.drop_episode()
    for t in range(3):
        agent.act(np.ones(4, np.float32), 0.0)
        agent.record(np.ones(4, np.float32), 1.0, terminated=t == 2)
    [chunk] = client.pushed[0].chunks
    assert (chunk.t_started, chunk.length, chunk.episode_return) == (0, 3, 3.0)
    assert client.broken == (1, 2)


def test_an_agent_that_does_not_wait_acts_without_recording() -> None:
    client = MemoryClient(credits=0)
    agent = Agent(client, seed=0, without_credit="act")
    for _ in range(3):
        assert agent.act(np.ones(4, np.float32), 0.0) is not None
        agent.record(np.ones(4, np.float32), 1.0)
    assert (client.pushed, client.unrecorded) == ([], 3)
    with pytest.raises(ConfigError, match="'wait' or 'act', not 'go'"):
        Agent(client, without_credit="go")  # type: ignore[arg-type]


def bad(values: Array, row: int) -> Array:
    values = values.copy()
    values[row] = np.nan
    return values


@pytest.mark.parametrize("environments", [1, 2])
def test_an_evaluation_is_truncated_at_the_steps_that_were_asked_for(environments: int) -> None:
    client = MemoryClient(fragment_steps=46 * environments, evaluations=1, max_evaluation_steps=4)
    simulators = Simulators((50,) * environments, client)
    simulators.step(10)
    [evaluated] = client.of("evaluate")
    [chunk] = evaluated.chunks
    assert (chunk.length, chunk.truncated, chunk.terminated) == (4, True, False)
    assert (chunk.episode_length, len(chunk.columns["obs"])) == (4, chunk.lookback + 5)
    simulators.step(40)
    ends = [c for pushed in client.of("train") for c in pushed.chunks if c.is_done]
    assert sorted(c.episode_length for c in ends) == [46, 50][:environments]


class TestNonFinite:
    def play(self, agent: VectorAgent, broken_at: int, *, in_reward: bool) -> None:
        """Plays two episodes of four steps in two environments; the second one breaks once."""
        observations = seen(2)["obs"]
        for t in range(8):
            assert agent.act({"obs": observations}, 0.0) is not None
            observations, rewards, is_over = seen(2)["obs"], np.array([1.0, 2.0]), t % 4 == 3
            if t == broken_at and in_reward:
                rewards = bad(rewards, 1)
            elif t == broken_at:
                observations = bad(observations, 1)
            finals = {i: {"obs": np.ones(4, np.float32)} for i in (0, 1)} if is_over else {}
            ended = np.full(2, is_over)
            agent.record(
                StepResult({"obs": observations}, rewards, ended, np.zeros(2, bool), finals)
            )

    @pytest.mark.parametrize("in_reward", [False, True])
    def test_only_the_episode_in_which_it_happened_is_dropped(
        self, in_reward: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = MemoryClient(fragment_steps=12)
        agent = VectorAgent(client, 2, seed=0)
        self.play(agent, 1, in_reward=in_reward)
        [pushed] = client.pushed
        played = sorted((c.length, c.episode_return) for c in pushed.chunks if c.is_done)
        assert played == [(4, 4.0), (4, 4.0), (4, 8.0)]
        assert all(np.isfinite(c.columns["obs"]).all() for c in pushed.chunks)
        assert all(np.isfinite(c.columns["rewards"]).all() for c in pushed.chunks)
        assert client.broken == (1, 1), "its first step had been recorded"
        [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        what = "reward is nan" if in_reward else "'obs' contains nan"
        assert said == f"the simulator's {what} after step 2 of an episode: the episode is dropped"

    def test_it_is_an_error_if_that_was_asked_for(self) -> None:
        agent = Agent(MemoryClient(), seed=0, on_non_finite="error")
        agent.act(np.ones(4, np.float32), 0.0)
        with pytest.raises(ConfigError, match="reward is inf after step 1 of an episode"):
            agent.record(np.ones(4, np.float32), float("inf"))
        with pytest.raises(ConfigError, match="'obs' contains nan after step 1"):
            agent.record(np.full(4, np.nan, np.float32), 1.0)
        agent.record(np.ones(4, np.float32), 1.0)
        with pytest.raises(ConfigError, match="'drop_episode' or 'error', not 'ignore'"):
            Agent(MemoryClient(), on_non_finite="ignore")  # type: ignore[arg-type]

    def test_the_first_observation_of_an_episode_counts_too(self) -> None:
        client = MemoryClient(fragment_steps=3)
        agent = Agent(client, seed=0)
        observation = np.full(4, -np.inf, np.float32)
        for t in range(6):
            assert agent.act(observation, 0.0) in (0, 1), "the policy sees zeros"
            observation = np.ones(4, np.float32)
            agent.record(observation, 1.0, terminated=t % 3 == 2)
        [chunk] = client.pushed[0].chunks
        assert (chunk.length, chunk.episode_return) == (3, 3.0)
        assert client.broken == (1, 0)

    def test_a_final_observation_counts_for_the_episode_that_it_ends(self) -> None:
        client = MemoryClient(fragment_steps=2)
        agent = Agent(client, seed=0)
        for t in range(4):
            agent.act(np.ones(4, np.float32), 0.0)
            is_over = t % 2 == 1
            last = np.full(4, np.nan, np.float32) if t == 1 else np.ones(4, np.float32)
            agent.record(last, 1.0, truncated=is_over)
        assert client.broken == (1, 1)
        [chunk] = client.pushed[0].chunks
        assert (chunk.length, chunk.truncated, chunk.episode_return) == (2, True, 2.0)

    def test_a_broken_evaluation_is_given_back(self) -> None:
        client = MemoryClient(evaluations=1)
        agent = Agent(client, seed=0)
        agent.act(np.ones(4, np.float32), 0.0)
        assert client.evaluations == 0
        agent.record(np.ones(4, np.float32), np.nan)
        assert client.evaluations == 1
        agent.act(np.ones(4, np.float32), 0.0)
        assert client.evaluations == 1, "it begins with an episode, not amid the broken one"

    def test_later_ones_are_reported_ever_more_rarely(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        agent = Agent(MemoryClient(fragment_steps=1000), seed=0)
        for _ in range(100):
            agent.act(np.ones(4, np.float32), 0.0)
            agent.record(np.ones(4, np.float32), np.nan, terminated=True)
        warned = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warned) == 7, "1, 2, 4, 8, 16, 32 and 64 episodes"


class TestEvaluation:
    def test_the_next_episode_is_a_greedy_evaluation_while_others_train(self) -> None:
        simulators = Simulators((6, 4, 50), MemoryClient(fragment_steps=1000))
        simulators.step(2)
        simulators.client.evaluations = 1
        simulators.step(2)  # until the second one has ended its episode
        assert simulators.client.of("evaluate") == []
        simulators.step(4)
        [evaluated] = simulators.client.of("evaluate")
        assert (evaluated.task, evaluated.env_steps) == ("evaluation", 4)
        [chunk] = evaluated.chunks
        assert (chunk.t_started, chunk.length, chunk.terminated) == (0, 4, True)
        assert (chunk.episode_return, chunk.episode_length) == (8.0, 4)
        assert chunk.columns["actions"].tolist() == [0, 0, 0, 0]
        assert [actions[1] for actions in simulators.actions[4:8]] == [0, 0, 0, 0]
        explored = {actions[2] for actions in simulators.actions}
        assert explored == {0, 1}, "the others keep exploring"

    def test_training_with_credit_loses_no_step(self) -> None:
        simulators = Simulators((6, 4, 50), MemoryClient(fragment_steps=9))
        simulators.step(3)
        simulators.client.evaluations = 1
        simulators.step(97)
        assert simulators.client.unrecorded == 0
        trained = sum(pushed.env_steps for pushed in simulators.client.of("train"))
        open_steps = 300 - trained - 4
        assert 0 <= open_steps < 9 + 3
        chunks = [c for pushed in simulators.client.of("train") for c in pushed.chunks]
        longest = [c for c in chunks if c.columns["rewards"][0] == 3.0]
        assert [c.t_started for c in longest[:3]] == [
            0,
            longest[0].length,
            sum(c.length for c in longest[:2]),
        ]

    def test_without_credit_episodes_finish_unrecorded_to_make_room_for_an_evaluation(self) -> None:
        simulators = Simulators((5, 7), MemoryClient(credits=1, fragment_steps=4))
        simulators.step(2)
        assert simulators.agent.act(seen(2), 0.0) is None
        simulators.client.evaluations = 1
        simulators.step(3 + 5)
        [evaluated] = simulators.client.of("evaluate")
        assert evaluated.env_steps == 5
        assert simulators.client.unrecorded == 3 * 2 + 5
        assert simulators.agent.act(seen(2), 0.0) is None, "the evaluation is over"

    def test_an_episode_continues_after_unrecorded_steps(self) -> None:
        simulators = Simulators((3, 100), MemoryClient(credits=1, fragment_steps=4))
        simulators.step(2)
        simulators.client.evaluations = 1
        simulators.step(4)
        simulators.client.credits = 1000
        simulators.step(2)
        chunks = simulators.client.of("train")[1].chunks
        assert [(c.t_started, c.length) for c in chunks if c.columns["rewards"][0] == 2.0] == [
            (6, 2)
        ]

    def test_an_open_batch_is_delivered_before_an_evaluation_uses_its_number(self) -> None:
        simulators = Simulators((4, 100), MemoryClient(credits=1, fragment_steps=1000))
        simulators.client.evaluations = 1
        simulators.step(4)
        assert [pushed.purpose for pushed in simulators.client.pushed] == ["train", "evaluate"]
        assert simulators.agent.act(seen(2), 0.0) is None

    def test_a_single_environment_evaluates_between_training_episodes(self) -> None:
        simulators = Simulators((3,), MemoryClient(fragment_steps=100))
        simulators.step(1)
        simulators.client.evaluations = 2
        simulators.step(8)
        assert [pushed.purpose for pushed in simulators.client.pushed] == [
            "train",
            "evaluate",
            "evaluate",
        ]
        assert [pushed.env_steps for pushed in simulators.client.pushed] == [3, 3, 3]

    def test_an_evaluation_uses_weights_that_are_new_enough(self) -> None:
        simulators = Simulators((3, 100), MemoryClient(fragment_steps=100))
        simulators.step(1)
        simulators.client.publish(2)
        simulators.client.evaluations = 1
        simulators.step(5)
        [evaluated] = simulators.client.of("evaluate")
        assert evaluated.version == PolicyVersion(1, 2)

    def test_an_evaluation_whose_simulator_failed_is_given_back(self) -> None:
        simulators = Simulators((3, 5))
        simulators.client.evaluations = 1
        simulators.step(1)
        assert simulators.client.evaluations == 0
        simulators.agent.drop_episodes()
        assert simulators.client.evaluations == 1
        assert simulators.client.broken == (2, 1), "the evaluation's step is not training data"

    def test_an_evaluation_is_given_back_when_all_environments_are_reset(self) -> None:
        simulators = Simulators((3, 5))
        simulators.agent.take_reset()
        simulators.client.evaluations = 1
        simulators.step(1)
        simulators.client.assignment = Assignment(1, "level-1")
        reset = simulators.agent.take_reset()
        assert reset is not None
        assert simulators.client.evaluations == 1

    def test_a_single_environment_is_not_reset_during_an_evaluation(self) -> None:
        simulators = Simulators((3,))
        simulators.agent.take_reset()
        simulators.client.evaluations = 1
        simulators.step(1)
        simulators.client.assignment = Assignment(1, "level-1")
        assert simulators.agent.take_reset() is None
        simulators.step(2)
        assert simulators.agent.take_reset() is not None


def test_an_evaluation_larger_than_a_payload_is_pushed_in_parts() -> None:
    client = MemoryClient(evaluations=1, max_payload_bytes=400)
    Simulators((20,), client).step(20)
    parts = client.of("evaluate")
    assert len(parts) > 1
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert sum(part.env_steps for part in parts) == 20
    [*earlier, last] = [chunk for part in parts for chunk in part.chunks]
    assert not any(chunk.is_done for chunk in earlier)
    assert (last.is_done, last.episode_length) == (True, 20)
