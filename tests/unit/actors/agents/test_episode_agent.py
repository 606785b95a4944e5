"""An EpisodeAgent with a broker client in memory, and a policy whose greedy action is 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.memory_client import MemoryClient

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Episode
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Assignment
from headrace.protocol.trajectory import DEFAULT_AGENT

SEEN = {DEFAULT_AGENT: np.ones(4, np.float32)}
OVER, CUT = Ending(terminated=True, truncated=False), Ending(terminated=False, truncated=True)


def step(agent: EpisodeAgent, *episodes: Episode, reward: float = 1.0) -> list[int]:
    """Acts in the given episodes, rewards the actions, and returns them."""
    acted = agent.act(dict.fromkeys(episodes, SEEN), 0.0)
    assert acted is not None
    for episode in episodes:
        agent.episodes.reward(episode, {DEFAULT_AGENT: reward})
    return [acted[episode][DEFAULT_AGENT] for episode in episodes]


def make_agent(client: MemoryClient, **settings: Any) -> EpisodeAgent:
    return EpisodeAgent(client, seed=0, **settings)


def test_independent_episodes_share_batches() -> None:
    client = MemoryClient(fragment_steps=6)
    agent = make_agent(client)
    first, second = agent.start(), agent.start()
    for _ in range(2):
        step(agent, first, second)
    step(agent, first)
    agent.end(first, SEEN, CUT)
    step(agent, second)
    step(agent, second)
    [pushed] = client.pushed
    assert pushed.env_steps == 6
    assert sorted((c.length, c.truncated, c.episode_return) for c in pushed.chunks)[1] == (
        3,
        True,
        3.0,
    )


def test_an_agent_that_does_not_wait_acts_without_recording() -> None:
    client = MemoryClient(credits=0)
    waiting, other = make_agent(client), make_agent(client, waits=False)
    assert waiting.act({waiting.start(): SEEN}, 0.0) is None
    episode = other.start()
    step(other, episode)
    step(other, episode)
    assert client.unrecorded == 1
    assert client.pushed == []


def test_a_batch_names_a_task_if_all_of_its_episodes_share_it() -> None:
    client = MemoryClient(fragment_steps=2)
    agent = make_agent(client)
    for tasks in (("level-1", "level-1"), ("level-1", None)):
        for task in tasks:
            episode = agent.start(task=task)
            step(agent, episode)
            agent.end(episode, SEEN, OVER)
    assert [pushed.task for pushed in client.pushed] == ["level-1", None]


def test_an_ended_episode_accepts_no_rewards() -> None:
    agent = make_agent(MemoryClient())
    episode = agent.start()
    step(agent, episode)
    agent.end(episode, SEEN, OVER)
    with pytest.raises(LocalProtocolError, match="has ended"):
        agent.episodes.reward(episode, {DEFAULT_AGENT: 1.0})


class TestEvaluation:
    def test_an_open_batch_is_delivered_before_an_evaluation_uses_its_number(self) -> None:
        client = MemoryClient(credits=1, fragment_steps=1000, evaluations=1)
        agent = make_agent(client)
        evaluated, training = agent.start(), agent.start()
        step(agent, evaluated, training)
        step(agent, evaluated, training)
        agent.end(evaluated, SEEN, OVER)
        assert [pushed.purpose for pushed in client.pushed] == ["train", "evaluate"]

    def test_one_larger_than_a_payload_is_pushed_in_parts(self) -> None:
        client = MemoryClient(evaluations=1, max_payload_bytes=400, fragment_steps=1000)
        agent = make_agent(client)
        evaluated = agent.start()
        for _ in range(20):
            step(agent, evaluated)
        agent.end(evaluated, SEEN, OVER)
        parts = client.of("evaluate")
        assert len(parts) > 1
        assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
        assert sum(part.env_steps for part in parts) == 20
        assert [c.is_done for part in parts for c in part.chunks][-1]

    def test_the_next_episode_is_a_greedy_evaluation_while_others_train(self) -> None:
        client = MemoryClient(fragment_steps=1000)
        agent = make_agent(client)
        training = agent.start()
        step(agent, training)
        client.evaluations = 1
        evaluated = agent.start()
        actions = [step(agent, training, evaluated) for _ in range(12)]
        agent.end(evaluated, SEEN, OVER)
        step(agent, training)
        agent.end(training, SEEN, OVER)
        agent.batches.deliver()
        [pushed] = client.of("evaluate")
        assert (pushed.task, pushed.env_steps) == ("evaluation", 12)
        [chunk] = pushed.chunks
        assert (chunk.length, chunk.terminated, chunk.episode_return) == (12, True, 12.0)
        assert {both[1] for both in actions} == {0}
        assert {both[0] for both in actions} == {0, 1}, "the other one explores"
        assert sum(pushed.env_steps for pushed in client.of("train")) == 14
        assert client.unrecorded == 0

    def test_without_credit_episodes_finish_unrecorded_to_make_room_for_an_evaluation(self) -> None:
        client = MemoryClient(credits=1, fragment_steps=2)
        agent = make_agent(client)
        episode = agent.start()
        step(agent, episode)
        step(agent, episode)
        assert agent.act({episode: SEEN}, 0.0) is None
        client.evaluations = 1
        step(agent, episode)
        agent.end(episode, SEEN, OVER)
        assert client.unrecorded == 1
        evaluated = agent.start()
        step(agent, evaluated)
        agent.end(evaluated, SEEN, OVER)
        assert [pushed.env_steps for pushed in client.of("evaluate")] == [1]

    def test_an_evaluation_uses_weights_that_are_new_enough(self) -> None:
        client = MemoryClient(fragment_steps=1000)
        agent = make_agent(client)
        step(agent, agent.start())
        client.publish(2)
        client.evaluations = 1
        evaluated = agent.start()
        step(agent, evaluated)
        agent.end(evaluated, SEEN, OVER)
        assert client.of("evaluate")[0].version == PolicyVersion(1, 2)

    @pytest.mark.parametrize("end", ["drop", "cut_off", "take_reset"])
    def test_an_unfinished_evaluation_is_given_back(self, end: str) -> None:
        client = MemoryClient(evaluations=1)
        agent = make_agent(client)
        agent.take_reset()
        evaluated, other = agent.start(), agent.start()
        step(agent, evaluated, other)
        assert client.evaluations == 0
        if end == "take_reset":
            client.assignment = Assignment(1, "level-1")
            assert agent.take_reset() is not None
        else:
            getattr(agent, end)(evaluated)
        assert client.evaluations == 1
        assert client.of("evaluate") == []

    def test_an_episode_with_given_actions_is_not_an_evaluation(self) -> None:
        client = MemoryClient(evaluations=1)
        client.publish(1, OffPolicyFlow(sample_env_steps=10))
        agent = make_agent(client)
        agent.manifest()
        rows = {DEFAULT_AGENT: agent.policies.rows_of(DEFAULT_AGENT, [1.0] * 4)}
        shown, taken_over = agent.start(), agent.start()
        given = {(shown, DEFAULT_AGENT): agent.policies.given_action(DEFAULT_AGENT, 1)}
        assert agent.act_upon({shown: rows}, 0.0, given) == {shown: {DEFAULT_AGENT: 1}}
        assert client.evaluations == 1
        agent.act_upon({taken_over: rows}, 0.0)
        assert client.evaluations == 0
        agent.act_upon(
            {taken_over: rows}, 0.0, {(taken_over, DEFAULT_AGENT): given[shown, DEFAULT_AGENT]}
        )
        assert client.evaluations == 1
        agent.end(taken_over, SEEN, OVER)
        assert client.of("evaluate") == []

    def test_an_unrecorded_episode_is_not_an_evaluation(self) -> None:
        client = MemoryClient(evaluations=1)
        agent = make_agent(client)
        step(agent, agent.start(is_recorded=False))
        assert client.evaluations == 1

    def test_an_agent_that_leaves_early_is_part_of_the_evaluation(self) -> None:
        client = MemoryClient(evaluations=1)
        agent = make_agent(client)
        episode = agent.start()
        acted = agent.act({episode: SEEN}, 0.0)
        assert acted is not None
        agent.end_agent(episode, DEFAULT_AGENT, None, OVER)
        agent.end(episode, {}, OVER)
        assert [pushed.env_steps for pushed in client.of("evaluate")] == [1]


def test_an_evaluation_is_truncated_at_the_steps_that_were_asked_for() -> None:
    client = MemoryClient(fragment_steps=1000, evaluations=1, max_evaluation_steps=4)
    agent = make_agent(client)
    episode = agent.start()
    for _ in range(10):
        step(agent, episode)
    agent.end(episode, SEEN, OVER)
    agent.batches.deliver()
    [evaluated] = client.of("evaluate")
    [chunk] = evaluated.chunks
    assert (chunk.length, chunk.truncated, chunk.episode_return) == (4, True, 4.0)
    [pushed] = client.of("train")
    [trained] = pushed.chunks
    assert (trained.t_started, trained.length, trained.episode_return) == (0, 6, 6.0)
    assert trained.episode_id != chunk.episode_id


class TestNonFinite:
    @pytest.mark.parametrize("where", ["observation", "reward", "last observation"])
    def test_only_the_episode_in_which_it_happened_is_dropped(
        self, where: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = MemoryClient(fragment_steps=1000)
        agent = make_agent(client)
        sound, broken = agent.start(), agent.start()
        bad = {DEFAULT_AGENT: np.full(4, np.nan, np.float32)}
        step(agent, sound, broken)
        step(agent, sound, broken)
        if where == "observation":
            assert agent.act({broken: bad}, 0.0) is not None
        elif where == "reward":
            agent.episodes.reward(broken, {DEFAULT_AGENT: float("inf")})
            step(agent, broken)
        agent.end(broken, bad if where == "last observation" else SEEN, OVER)
        agent.end(sound, SEEN, OVER)
        agent.batches.deliver()
        [chunk] = client.pushed[0].chunks
        assert (chunk.length, chunk.episode_return) == (2, 2.0)
        assert client.broken == (1, 1)
        [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert said.endswith("after step 2 of an episode: the episode is dropped")

    def test_it_is_an_error_if_that_was_asked_for(self) -> None:
        agent = make_agent(MemoryClient(), on_non_finite="error")
        episode = agent.start()
        step(agent, episode)
        agent.episodes.reward(episode, {DEFAULT_AGENT: float("nan")})
        with pytest.raises(ConfigError, match="reward is nan after step 1 of an episode"):
            agent.act({episode: SEEN}, 0.0)

    def test_a_broken_evaluation_is_given_back(self) -> None:
        client = MemoryClient(evaluations=1)
        agent = make_agent(client)
        episode = agent.start()
        step(agent, episode)
        assert client.evaluations == 0
        agent.episodes.reward(episode, {DEFAULT_AGENT: float("nan")})
        step(agent, episode)
        assert client.evaluations == 1
        agent.end(episode, SEEN, OVER)
        assert client.pushed == []

    def test_a_dropped_episode_is_counted_once(self) -> None:
        client = MemoryClient()
        agent = make_agent(client)
        episode = agent.start()
        step(agent, episode, reward=float("nan"))
        step(agent, episode)
        agent.drop(episode)
        assert client.broken == (1, 0)


def test_a_reward_that_is_not_a_number_is_named() -> None:
    agent = make_agent(MemoryClient())
    episode = agent.start()
    step(agent, episode)
    with pytest.raises(ConfigError, match="agent 'default_agent': the simulator's reward is None"):
        agent.episodes.reward(episode, {DEFAULT_AGENT: None})  # type: ignore[dict-item]


def test_observations_are_recorded_in_the_dtype_that_the_policy_declares() -> None:
    client = MemoryClient(fragment_steps=2)
    agent = make_agent(client)
    episode = agent.start()
    for seen in ([1, 1, 1, 1], np.ones(4), np.ones(4, np.float16)):
        assert agent.act({episode: {DEFAULT_AGENT: seen}}, 0.0) is not None
    agent.end(episode, {DEFAULT_AGENT: (1, 1, 1, 1)}, OVER)
    agent.batches.deliver()
    for pushed in client.pushed:
        for chunk in pushed.chunks:
            assert chunk.columns["obs"].dtype == np.float32
