"""Infos that the learner asks for, from the simulator to RLlib's episodes."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from support.algorithms import collecting, make_config
from support.info_envs import InfoEnv, InfoPair
from support.running import BrokerThread, Context, connect, in_thread
from support.serving import ServerThread

from headrace.actors.inference.policy_client import PolicyClient
from headrace.actors.simulators.multi_agent_collector import MultiAgentCollector
from headrace.actors.simulators.multi_agent_simulators import simulator_of
from headrace.learner.connection.link import LearnerStopping
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.learner.runner.simulator_spaces import agent_spaces
from headrace.protocol.errors import ConfigError

pytestmark = [pytest.mark.rllib, pytest.mark.usefixtures("ray_session")]


def open_runner(config: AlgorithmConfig) -> BrokerEnvRunner:
    runner = BrokerEnvRunner(config=config, worker_index=0)
    module: Any = runner.module
    runner.set_state({"rl_module": module.get_state(), "weights_seq_no": 1})
    return runner


def make_runner(broker: BrokerThread, *infos: str) -> BrokerEnvRunner:
    return open_runner(make_config(broker, "InfoEnv-v0", infos=infos))


def infos_at(t: int, *, even: bool = True) -> dict[str, float]:
    """Returns the requested infos of the simulator's step t."""
    return {"tens": 10.0 * t, **({"even": 1.0} if even and t % 2 == 0 else {})}


def assert_steps_have_infos(episode: Any, *, even: bool = True) -> None:
    seen = episode.get_observations()[1:, 0].astype(int).tolist()
    assert episode.get_infos()[1:] == [infos_at(t, even=even) for t in seen]


@pytest.mark.parametrize("environments", [1, 2])
def test_an_episode_has_the_requested_infos(
    broker: BrokerThread, context: Context, environments: int
) -> None:
    runner = make_runner(broker, "tens", "even")
    try:
        with collecting(broker, context, "InfoEnv-v0", environments):
            episodes = runner.sample()
    finally:
        runner.stop()
    assert any(episode.is_done for episode in episodes)
    for episode in episodes:
        assert_steps_have_infos(episode)
        assert set(episode.extra_model_outputs) >= {"action_logp"}
        assert not [name for name in episode.extra_model_outputs if "infos" in name]


def playing(client: PolicyClient) -> AbstractContextManager[None]:
    """Runs a simulator that owns its loop in a thread, and sends its infos with the returns."""

    def play(stop: threading.Event) -> None:
        simulator = InfoEnv()
        while not stop.is_set():
            episode = client.start_episode()
            observation, _ = simulator.reset()
            is_over = False
            while not is_over and not stop.is_set():
                action = client.get_action(episode, observation)
                observation, reward, is_over, _, info = simulator.step(action)
                client.log_returns(episode, reward, info)
            client.end_episode(episode, observation)

    return in_thread(play)


def test_a_policy_client_sends_infos_with_the_returns(broker: BrokerThread) -> None:
    runner = make_runner(broker, "tens", "even")
    try:
        with PolicyClient(broker.address, seed=1) as client, playing(client):
            episodes = runner.sample()
    finally:
        runner.stop()
    assert len(episodes) > 50
    for episode in episodes:
        assert_steps_have_infos(episode)


def test_a_policy_server_accepts_infos_from_thin_simulators(
    broker: BrokerThread, context: Context
) -> None:
    runner = make_runner(broker, "tens", "even")
    try:
        with (
            ServerThread(broker.address) as server,
            PolicyClient(server.endpoint, inference_mode="remote") as client,
            playing(client),
        ):
            episodes = runner.sample()
    finally:
        runner.stop()
    assert len(episodes) > 50
    for episode in episodes:
        assert_steps_have_infos(episode)


def test_each_agent_has_its_own_infos(broker: BrokerThread, context: Context) -> None:
    observations, actions = agent_spaces(InfoPair())
    config = make_config(broker, None, infos=("tens", "even"))
    config.environment(observation_space=observations, action_space=actions)
    config.multi_agent(policies={"both"}, policy_mapping_fn=lambda *_, **__: "both")
    runner = open_runner(config)
    try:
        with connect(broker, context, "actor") as client:
            collector = MultiAgentCollector(client, [simulator_of(InfoPair())], seed=1)
            with in_thread(collector.run):
                episodes: list[Any] = runner.sample()
    finally:
        runner.stop()
    assert any(episode.is_done for episode in episodes)
    for episode in episodes:
        for name, own in episode.agent_episodes.items():
            assert_steps_have_infos(own, even=name == "a")


def test_an_info_that_is_not_a_number_is_an_error(broker: BrokerThread) -> None:
    runner = make_runner(broker, "text")

    def sample() -> None:
        with suppress(LearnerStopping):
            runner.sample()

    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        with PolicyClient(broker.address, seed=1) as client:
            episode = client.start_episode()
            client.get_action(episode, InfoEnv().reset()[0])
            with pytest.raises(ConfigError, match="'text', which is not a number"):
                client.log_returns(episode, 1.0, {"text": "a word"})
    finally:
        runner.interrupt()
        sampling.join()
        runner.stop()
