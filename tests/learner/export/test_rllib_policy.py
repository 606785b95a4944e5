"""Actors that act with RLlib itself, for policies without a graph."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import support.levels  # noqa: F401 # pyright: ignore[reportUnusedImport] - registers Levels-v0
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from support.algorithms import algorithm_of, returns_by_task, runner_of
from support.rllib_policy import make_config
from support.running import BrokerThread, Context, connect, first_policy

from headrace.actors.agents.agent import Agent
from headrace.actors.rllib.collector import RLlibCollector
from headrace.learner import assign
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.errors import ConfigError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]

LSTM = {"use_lstm": True, "lstm_cell_size": 8, "max_seq_len": 5}


def through(
    broker: BrokerThread, config: AlgorithmConfig, policy: str = "rllib"
) -> AlgorithmConfig:
    own = {"address": broker.address, "run": "run", "pull_timeout_s": 5.0, "policy": policy}
    config = config.copy(copy_frozen=False).environment(env_config={"headrace": own})
    return config.env_runners(env_runner_cls=BrokerEnvRunner)


@contextmanager
def acting(
    broker: BrokerThread, context: Context, config: AlgorithmConfig, environments: int = 1
) -> Generator[list[Exception]]:
    """Collects with RLlib in a thread; yields the errors that ended it."""
    stop, failures = threading.Event(), list[Exception]()
    with connect(broker, context, "actor") as client:
        collector = RLlibCollector(client, config, environments=environments)

        def run() -> None:
            try:
                collector.run(stop)
            except ConfigError as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield failures
        finally:
            stop.set()
            thread.join()
            collector.close()


def test_an_error_about_a_connector_without_a_graph_names_the_workaround(
    broker: BrokerThread,
) -> None:
    with pytest.raises(ConfigError, match="policy rllib"):
        BrokerEnvRunner(config=through(broker, make_config(), policy="graph"))


@pytest.mark.parametrize("environments", [1, 3])
def test_training_uses_the_output_of_an_unknown_connector(
    broker: BrokerThread, context: Context, environments: int
) -> None:
    config = make_config()
    with (
        algorithm_of(through(broker, config)) as algorithm,
        acting(broker, context, config, environments),
    ):
        results = [algorithm.train() for _ in range(3)]
        episodes = runner_of(algorithm).sample()
    assert results[-1]["env_runners"]["num_env_steps_sampled_lifetime"] >= 1200
    assert results[-1]["env_runners"]["episode_len_mean"] > 5
    for episode in episodes:
        observations = episode.get_observations()
        assert observations.shape == (len(episode) + 1, 8)
        np.testing.assert_allclose(observations[:, 4:], np.square(observations[:, :4]), rtol=1e-5)
    returned = [e.get_return() for e in episodes]
    assert returned == [float(len(e)) for e in episodes]
    status = broker.status
    assert (status.ledger.rejected, status.rejects) == (0, {})


def test_chunks_of_one_episode_are_contiguous(broker: BrokerThread, context: Context) -> None:
    config = make_config()
    with algorithm_of(through(broker, config)) as algorithm, acting(broker, context, config):
        runner = runner_of(algorithm)
        algorithm.train()
        ends: dict[str, tuple[int, Any]] = {}
        continued = 0
        for _ in range(2):
            for episode in runner.sample():
                if episode.t_started and episode.id_ in ends:
                    t, last = ends[episode.id_]
                    assert episode.t_started == t
                    np.testing.assert_array_equal(episode.get_observations(0), last)
                    continued += 1
                ends[episode.id_] = (episode.t, episode.get_observations(-1))
    assert continued


def test_a_recurrent_modules_state_is_recorded(broker: BrokerThread, context: Context) -> None:
    config = make_config()
    assert isinstance(config, PPOConfig)
    config.rl_module(model_config=LSTM)
    with algorithm_of(through(broker, config)) as algorithm, acting(broker, context, config):
        algorithm.train()
        assert algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"] >= 800


@pytest.mark.parametrize("environments", [1, 3])
def test_an_rllib_actor_evaluates_whole_episodes_greedily(
    broker: BrokerThread, context: Context, environments: int
) -> None:
    config = make_config()
    assert isinstance(config, PPOConfig)
    config.evaluation(evaluation_interval=1, evaluation_duration=3)
    with (
        algorithm_of(through(broker, config)) as algorithm,
        acting(broker, context, config, environments),
    ):
        for result in [algorithm.train() for _ in range(2)]:
            evaluated = result["evaluation"]["env_runners"]
            assert evaluated["num_episodes"] == 3
            assert evaluated["episode_return_mean"] > 5
        for episode in runner_of(algorithm).sample(num_episodes=2):
            assert episode.is_done
            assert (episode.get_extra_model_outputs("action_logp") == 0).all(), "it is greedy"
    assert broker.status.ledger.rejected == 0


@pytest.mark.parametrize("environments", [1, 2])
def test_an_rllib_actor_resets_to_its_assignment(
    broker: BrokerThread, context: Context, environments: int
) -> None:
    config = make_config().environment("Levels-v0")
    with (
        algorithm_of(through(broker, config)) as algorithm,
        acting(broker, context, config, environments),
    ):
        returns: dict[str, float] = {}
        for level in (3, 7):
            assign(algorithm, f"level-{level}", options={"level": level}, seed=1)
            while f"level-{level}" not in returns:
                returns |= returns_by_task(algorithm.train())
    assert returns == {"level-3": 15.0, "level-7": 35.0}, "five steps at each level"


@pytest.mark.nightly
def test_dqn_explores_less_as_it_learns(broker: BrokerThread, context: Context) -> None:
    config = DQNConfig().environment("CartPole-v1").env_runners(num_env_runners=0)
    config.training(epsilon=[(0, 1.0), (300, 0.0)])
    with algorithm_of(through(broker, config)) as algorithm, acting(broker, context, config):
        sampled = 0
        while sampled < 1500:
            result = algorithm.train()
            sampled = result["env_runners"]["num_env_steps_sampled_lifetime"]
    assert broker.status.ledger.rejected == 0


def test_a_graph_actor_gets_an_error_that_says_how_to_act(
    broker: BrokerThread, context: Context
) -> None:
    runner = BrokerEnvRunner(config=through(broker, make_config()))
    thread = threading.Thread(target=runner.sample)
    with connect(broker, context, "actor") as client:
        thread.start()
        first_policy(client)
        with pytest.raises(ConfigError, match="--policy rllib"):
            Agent(client).act(np.zeros(4, np.float32), timeout_s=10.0)
    thread.join()
    runner.stop()


def test_an_rllib_actor_gets_an_error_if_the_policy_is_a_graph(
    broker: BrokerThread, context: Context
) -> None:
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0)
    runner = BrokerEnvRunner(config=through(broker, config, policy="graph"))
    thread = threading.Thread(target=runner.sample)
    with acting(broker, context, config) as failures:
        thread.start()
        thread.join()
    runner.stop()
    assert "leave out --policy rllib" in str(failures[0])
