"""A VectorAgent with a broker client in memory, and a policy whose greedy action is 0."""

from __future__ import annotations

from dataclasses import dataclass, field

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


def test_an_error_about_observations_names_both_dtypes() -> None:
    with pytest.raises(ConfigError, match=r"float64.*expects float32"):
        Agent(MemoryClient()).act(np.ones(4), 0.0)


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
