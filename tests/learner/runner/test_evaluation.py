"""Evaluation through the broker: whole greedy episodes, which are never trained on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune.registry import register_env
from support.algorithms import algorithm_of, collecting, make_config, runner_of
from support.running import BrokerThread, Context, connect, first_policy, wait_until

from headrace.actors.agents.agent import Agent
from headrace.learner.connection.link import LearnerStopping
from headrace.protocol.limits import DecodeLimits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


def evaluated(result: dict[str, Any]) -> dict[str, Any]:
    sampled: dict[str, Any] = result["evaluation"]["env_runners"]
    return sampled


def test_an_evaluation_after_each_update_reports_its_own_return_and_takes_no_training_data(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).evaluation(evaluation_interval=1, evaluation_duration=3)
    with algorithm_of(config) as algorithm, collecting(broker, context):
        results = [algorithm.train() for _ in range(3)]
        for result in results:
            assert evaluated(result)["num_episodes"] == 3
            assert evaluated(result)["episode_return_mean"] > 5
        trained = results[-1]["env_runners"]["num_env_steps_sampled_lifetime"]
        wait_until(lambda: sum(a.env_steps for a in broker.status.actors) >= trained)
        ledger = broker.status.ledger
        assert ledger.dropped == ledger.rejected == 0
        versions = [status.version for status in broker.status.actors]
        assert versions[0] is not None
        assert versions[0].startswith("1.")


class Long(gym.Env[Any, Any]):
    """Episodes of 300 steps with observations of 64 numbers."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (64,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return np.zeros(64, np.float32), {}

    def step(self, action: int) -> Any:
        self.t += 1
        return np.full(64, self.t / 300, np.float32), 1.0, self.t == 300, False, {}


gym.register("Long-v0", lambda **_: Long())


@pytest.mark.parametrize("count", [1, 2])
def test_episodes_larger_than_a_payload_arrive_whole(
    start_broker: Callable[..., BrokerThread], context: Context, count: int
) -> None:
    limits = DecodeLimits(max_payload_bytes=40_000)  # of an episode's 100,000 bytes and more
    broker = start_broker(limits=limits)
    config = make_config(broker, "Long-v0").evaluation(evaluation_interval=1, evaluation_duration=3)
    config.rl_module(model_config={"fcnet_hiddens": [16]})
    with algorithm_of(config) as algorithm, collecting(broker, context, "Long-v0", count):
        for result in [algorithm.train() for _ in range(2)]:
            assert evaluated(result)["num_episodes"] == 3
            assert evaluated(result)["episode_return_mean"] == 300.0
            assert evaluated(result)["episode_len_mean"] == 300.0
        assert broker.status.rejects == {}


def test_environments_that_step_together_evaluate_too(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).evaluation(evaluation_interval=1, evaluation_duration=4)
    with algorithm_of(config) as algorithm, collecting(broker, context, count=3):
        for result in [algorithm.train() for _ in range(2)]:
            assert evaluated(result)["num_episodes"] == 4
            assert evaluated(result)["episode_return_mean"] > 5
            assert result["env_runners"]["episode_return_mean"] > 5
        ledger = broker.status.ledger
        assert ledger.dropped == ledger.rejected == 0


def test_algo_evaluate_uses_the_training_runner_if_there_is_no_other(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).evaluation(evaluation_duration=2)
    with algorithm_of(config) as algorithm, collecting(broker, context):
        algorithm.train()
        before = runner_of(algorithm).num_env_steps_sampled_lifetime
        result = algorithm.evaluate()
        assert result["env_runners"]["num_episodes"] == 2
        assert runner_of(algorithm).num_env_steps_sampled_lifetime == before
        algorithm.train()


def test_an_evaluation_may_be_counted_in_time_steps(broker: BrokerThread, context: Context) -> None:
    config = make_config(broker).evaluation(
        evaluation_interval=1, evaluation_duration=100, evaluation_duration_unit="timesteps"
    )
    with algorithm_of(config) as algorithm, collecting(broker, context):
        assert evaluated(algorithm.train())["num_env_steps_sampled"] >= 100


def test_rllibs_own_runner_may_evaluate_instead(broker: BrokerThread, context: Context) -> None:
    register_env("plain-cartpole", lambda _: gym.make("CartPole-v1"))
    config = make_config(broker).evaluation(
        evaluation_interval=1,
        evaluation_duration=2,
        evaluation_config={
            "env_runner_cls": SingleAgentEnvRunner,
            "env": "plain-cartpole",  # a creator may drop headrace's settings in env_config
            "explore": False,
        },
    )
    with algorithm_of(config) as algorithm, collecting(broker, context):
        assert evaluated(algorithm.train())["num_episodes"] >= 2
        assert broker.status.ledger.dropped == 0


def test_an_evaluation_without_actors_can_be_interrupted(
    broker: BrokerThread,
) -> None:
    with algorithm_of(make_config(broker)) as algorithm:
        runner = runner_of(algorithm)
        runner.interrupt()
        with pytest.raises(LearnerStopping):
            runner.sample(num_episodes=1)


def test_an_agent_without_credit_finishes_its_episode_to_evaluate(
    broker: BrokerThread, context: Context
) -> None:
    """While the learner evaluates it takes no data, so credit may run out mid-episode."""
    config = make_config(broker)
    with algorithm_of(config) as algorithm, connect(broker, context, "agent") as client:
        runner = runner_of(algorithm)
        episodes: list[Any] = []
        learner = threading.Thread(target=lambda: episodes.extend(runner.sample(num_episodes=2)))
        learner.start()
        first_policy(client)
        agent = Agent(client, seed=1)
        # One endless episode, until batches that the learner does not take fill the window.
        observation = np.zeros(4, np.float32)
        for _ in range(100_000):
            if client.evaluation_is_wanted or agent.act(observation, timeout_s=0.0) is None:
                break
            agent.record(observation, 1.0)
        is_over = False
        steps = 0
        while learner.is_alive():
            if agent.act(observation, timeout_s=0.1) is None:
                continue
            steps += 1
            is_over = steps % 5 == 0
            agent.record(observation, 1.0, terminated=is_over)
        learner.join()
        assert [len(episode) for episode in episodes] == [5, 5]
        assert all(episode.is_terminated for episode in episodes)
