"""RLlib's own RLlink messages, through a real gateway, to a real broker."""

from __future__ import annotations

import contextlib
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.external.rllink import RLlink, get_rllink_message, send_rllink_message
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from support.machine import scaled
from support.running import (
    DEADLINE_S,
    BrokerThread,
    Context,
    Learner,
    connect,
    in_thread,
    wait_until,
)
from support.serving import one_module, publish

from headrace.actors.rllib.rllink_config import config_for_clients
from headrace.actors.rllib.rllink_gateway import RLlinkGateway
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.protocol.messages import Assignment
from headrace.protocol.trajectory import Chunk, unpack_batch

pytestmark = pytest.mark.rllib

SPACES: tuple[gym.Space[Any], gym.Space[Any]] = (
    gym.spaces.Box(-10.0, 10.0, (2,)),
    gym.spaces.Discrete(2),
)


@pytest.fixture
def learner(broker: BrokerThread, context: Context) -> Iterator[Learner]:
    with Learner(context, broker.address) as learner:
        yield learner


@pytest.fixture
def gateway(broker: BrokerThread, context: Context) -> Iterator[RLlinkGateway]:
    config = PPOConfig().environment(observation_space=SPACES[0], action_space=SPACES[1])
    gateway = RLlinkGateway(
        ("127.0.0.1", 0),
        lambda number: connect(broker, context, f"rllink.{number}"),
        lambda fragment: config_for_clients(config, fragment),
        max_clients=2,
    )
    thread = threading.Thread(target=gateway.run)
    thread.start()
    yield gateway
    gateway.stop()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


class Peer:
    """A client that sends the messages of a test, with RLlib's own functions."""

    def __init__(self, gateway: RLlinkGateway) -> None:
        host, _, port = gateway.endpoint.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE_S)

    def send(self, kind: str, **body: Any) -> None:
        send_rllink_message(self.socket, {"type": kind, **body})

    def ask(self, kind: str, **body: Any) -> tuple[Any, dict[str, Any]]:
        self.send(kind, **body)
        answered: tuple[Any, dict[str, Any]] = get_rllink_message(self.socket)
        return answered

    def is_hung_up_on(self) -> bool:
        return self.socket.recv(1) == b""

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def peer(gateway: RLlinkGateway) -> Iterator[Peer]:
    with closing(Peer(gateway)) as peer:
        yield peer


def make_episode(*, length: int = 3, terminated: bool = True) -> SingleAgentEpisode:
    episode = SingleAgentEpisode(observations=[np.zeros(2, np.float32)])
    for t in range(length):
        episode.add_env_step(
            observation=np.full(2, t + 1, np.float32),
            action=t % 2,
            reward=float(t),
            terminated=terminated and t == length - 1,
            extra_model_outputs={
                "action_dist_inputs": np.full(2, 0.5, np.float32),
                "action_logp": -0.7,
            },
        )
    return episode


def take(learner: Learner, env_steps: int) -> list[Chunk]:
    batches = learner.take(env_steps)
    return [chunk for batch in batches for chunk in unpack_batch(batch.payload)]


def test_a_client_gets_config_and_weights(learner: Learner, peer: Peer) -> None:
    modules = one_module()
    publish(learner, modules)
    assert peer.ask("PING") == (RLlink.PONG, {})
    kind, body = peer.ask("GET_CONFIG")
    config: PPOConfig = pickle.loads(body["config"])  # noqa: S301 - as RLlib's clients do
    assert kind is RLlink.SET_CONFIG
    assert 1 <= config.get_rollout_fragment_length() <= 160
    kind, body = peer.ask("GET_STATE")
    assert kind is RLlink.SET_STATE
    [made] = modules.values()
    weights = body["state"]["rl_module"]
    assert weights.keys() == set(made.exported.parameters)
    for name, value in weights.items():
        np.testing.assert_array_equal(value, made.weights[name])
    config.get_rl_module_spec().build().set_state(weights)


def test_episodes_arrive_as_they_were_sent(learner: Learner, peer: Peer) -> None:
    publish(learner, one_module())
    peer.ask("GET_STATE")
    episode = make_episode()
    begun = make_episode(length=2, terminated=False)
    states = [episode.get_state(), begun.get_state()]
    kind, _ = peer.ask("EPISODES_AND_GET_STATE", episodes=states, timesteps=5)
    assert kind is RLlink.SET_STATE
    first, second = take(learner, 5)
    np.testing.assert_array_equal(first.columns["obs"], np.stack(episode.get_observations()))
    assert first.columns["actions"].tolist() == [0, 1, 0]
    assert first.columns["rewards"].tolist() == [0.0, 1.0, 2.0]
    assert first.columns["action_logp"].tolist() == pytest.approx([-0.7] * 3)
    assert (first.terminated, first.episode_return, first.episode_length) == (True, 3.0, 3)
    assert (second.is_done, second.t_started) == (False, 0)
    rest = begun.cut()
    rest.add_env_step(
        observation=np.full(2, 9, np.float32),
        action=1,
        reward=5.0,
        truncated=True,
        extra_model_outputs={"action_dist_inputs": np.zeros(2, np.float32), "action_logp": 0.0},
    )
    peer.send("EPISODES", episodes=[rest.get_state()], timesteps=1)
    [last] = take(learner, 1)
    assert last.episode_id == second.episode_id
    assert (last.t_started, last.truncated, last.episode_return) == (2, True, 6.0)


def test_on_policy_clients_wait_for_the_next_weights(learner: Learner, peer: Peer) -> None:
    publish(learner, one_module())
    peer.ask("GET_STATE")
    sent = 0
    peer.socket.settimeout(scaled(1.0))
    with contextlib.suppress(ConnectionError):  # RLlib's function raises it on a timeout
        while sent < 1000:
            peer.ask("EPISODES_AND_GET_STATE", episodes=[make_episode(length=40).get_state()])
            sent += 40
    assert 160 <= sent < 1000
    peer.socket.settimeout(DEADLINE_S)
    take(learner, 160)
    publish(learner, one_module(), number=2)
    kind, body = get_rllink_message(peer.socket)
    assert (kind, body["state"]["weights_seq_no"]) == (RLlink.SET_STATE, 2)


def test_a_client_gets_the_assignment_and_its_batches_name_the_task_it_reports(
    learner: Learner, peer: Peer
) -> None:
    learner.link.assign(Assignment(1, "level-3", {"level": 3}, seed=7))
    publish(learner, one_module())
    _, body = peer.ask("GET_STATE")
    assert body["headrace"] == {"task": "level-3", "options": {"level": 3}, "seed": 7}
    for said in ({}, {"headrace": {"task": "level-3"}}):
        peer.ask("EPISODES_AND_GET_STATE", episodes=[make_episode().get_state()], **said)
    assert [batch.lease.task for batch in learner.take(6)] == [None, "level-3"]


def test_a_client_that_evaluates_is_asked_for_evaluations(learner: Learner, peer: Peer) -> None:
    publish(learner, one_module())
    peer.ask("GET_STATE", headrace={"evaluates": True})
    evaluated: list[LeasedBatch] = []
    with in_thread(lambda _: evaluated.extend(learner.link.evaluate(1))):
        asked, sent = False, 0
        while not asked:
            assert sent < 500, "the client was not asked"
            sent += 1
            episode = make_episode(length=1)
            _, body = peer.ask("EPISODES_AND_GET_STATE", episodes=[episode.get_state()])
            asked = body.get("headrace", {}).get("evaluate", False)
        whole = make_episode(length=4)
        said = {"episodes": [whole.get_state()], "headrace": {"evaluates": True}}
        peer.send("EPISODES", **said)
        wait_until(lambda: evaluated)
    [batch] = evaluated
    [chunk] = unpack_batch(batch.payload)
    assert (batch.lease.purpose, chunk.length, chunk.terminated) == ("evaluate", 4, True)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("GET_STATE", {"headrace": {"evaluates": "often"}}),
        ("EPISODES", {"episodes": [{"id_": "x"}]}),
        ("EPISODES", {"episodes": 5}),
        ("EPISODES", {"episodes": [[]]}),
        ("START_EPISODE", {}),
    ],
)
def test_an_invalid_message_ends_only_its_own_connection(
    learner: Learner, gateway: RLlinkGateway, peer: Peer, kind: str, body: dict[str, Any]
) -> None:
    publish(learner, one_module())
    with closing(Peer(gateway)) as other:
        other.ask("GET_STATE")
        other.send(kind, **body)
        assert other.is_hung_up_on()
    assert peer.ask("PING")[0] is RLlink.PONG


@pytest.mark.parametrize(
    "message",
    [b"xxxxxxxx", b"99999999", b"00000003\x81\xa1a", b"00000001\x01", b"00000002\x81\xa1"],
)
def test_malformed_bytes_end_the_connection(gateway: RLlinkGateway, message: bytes) -> None:
    with closing(Peer(gateway)) as peer:
        peer.socket.sendall(message)
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.is_hung_up_on()


def test_episodes_of_an_unknown_policy_are_refused(learner: Learner, peer: Peer) -> None:
    publish(learner, one_module())
    peer.send("EPISODES", episodes=[make_episode().get_state()])
    assert peer.is_hung_up_on()


def test_objects_that_would_run_code_are_refused(learner: Learner, peer: Peer) -> None:
    publish(learner, one_module())
    peer.ask("GET_STATE")
    state = make_episode().get_state()
    state["rewards"]["data"] = np.array([object()], dtype=object)  # msgpack-numpy pickles it
    peer.send("EPISODES", episodes=[state])
    assert peer.is_hung_up_on()


def test_clients_beyond_the_limit_are_refused(gateway: RLlinkGateway, peer: Peer) -> None:
    assert peer.ask("PING")[0] is RLlink.PONG
    with closing(Peer(gateway)) as second:
        assert second.ask("PING")[0] is RLlink.PONG
        with closing(Peer(gateway)) as third:
            assert third.is_hung_up_on()

    def is_served() -> bool:
        with closing(Peer(gateway)) as again:
            try:
                return again.ask("PING")[0] is RLlink.PONG
            except ConnectionError:
                return False

    wait_until(is_served)
