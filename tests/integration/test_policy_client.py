"""RLlib's verbs against a real broker, with real policy graphs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from support.mute_server import MuteServer
from support.policies import shared_export
from support.running import DEADLINE_S, BrokerThread, Context, Learner, wait_until
from support.serving import ServerThread, chunks_of, one_module, point, publish

from headrace.actors.inference.policy_client import PolicyClient
from headrace.protocol.errors import ConfigError, LocalProtocolError, RefusedError
from headrace.protocol.flow_control import OffPolicyFlow, OnPolicyFlow
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.trajectory import unpack_batch

pytestmark = pytest.mark.rllib


@pytest.fixture
def client(broker: BrokerThread) -> Iterator[PolicyClient]:
    with PolicyClient(broker.address, actor="sim", seed=0) as client:
        yield client


@pytest.fixture
def learner(broker: BrokerThread, context: Context) -> Iterator[Learner]:
    with Learner(context, broker.address) as learner:
        yield learner


def play(client: PolicyClient, length: int, **how: Any) -> list[Any]:
    """Plays an episode whose rewards are 1, 2, … in two parts each; returns the actions."""
    episode = client.start_episode(**how)
    actions: list[Any] = []
    for t in range(length):
        actions.append(client.get_action(episode, point(t)))
        client.log_returns(episode, t)
        client.log_returns(episode, 1.0)
    client.end_episode(episode, point(length))
    return actions


def test_an_episode_is_recorded_step_by_step(client: PolicyClient, learner: Learner) -> None:
    publish(learner, one_module())
    actions = [action for _ in range(8) for action in play(client, 5)]
    chunks = chunks_of(learner, 30)
    recorded = np.concatenate([chunk.columns["actions"] for chunk in chunks]).tolist()
    assert all(isinstance(action, int) for action in actions)
    assert recorded == actions[: len(recorded)]
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert len(ended) == len(recorded) // 5
    assert {chunk.episode_return for chunk in ended} == {15.0}
    assert all(chunk.terminated and chunk.columns["obs"][-1, 0] == 5.0 for chunk in ended)
    assert all(chunk.columns["obs"][0, 0] == chunk.t_started for chunk in chunks)


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_nested_actions_are_returned_and_recorded(
    broker: BrokerThread, learner: Learner, mode: Literal["local", "remote"]
) -> None:
    space = Tuple([Box(-2.0, 2.0, (3,), np.float32), Dict({"fire": Discrete(2)})])
    publish(learner, {DEFAULT_MODULE: shared_export(Box(-10.0, 10.0, (2,)), space)})
    with ServerThread(broker.address) as server:
        address = server.endpoint if mode == "remote" else broker.address
        with PolicyClient(address, mode) as client:
            actions = [action for _ in range(8) for action in play(client, 5)]
        chunks = chunks_of(learner, 30)
    for turn, others in actions:
        assert np.shape(turn) == (3,)
        assert others["fire"] in (0, 1)
    recorded = np.concatenate([chunk.columns["actions/1/fire"] for chunk in chunks])
    assert recorded.tolist() == [others["fire"] for _, others in actions][: len(recorded)]
    assert chunks[0].columns["actions/0"].shape[1:] == (3,)


def test_short_episodes_share_a_batch(client: PolicyClient, learner: Learner) -> None:
    publish(learner, one_module())
    for _ in range(20):
        play(client, 2)
    client.close()
    batches = learner.take(40)
    assert sum(batch.lease.env_steps for batch in batches) == 40
    assert len(batches) < 10


@pytest.mark.parametrize("where", ["observation", "reward", "last observation"])
def test_a_thin_client_breaks_an_episode_off_at_a_value_that_is_not_finite(
    broker: BrokerThread, learner: Learner, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    publish(learner, one_module())
    with ServerThread(broker.address) as server, PolicyClient(server.endpoint, "remote") as thin:
        episode = thin.start_episode()
        for t in range(4):
            seen = point(np.nan) if (t, where) == (2, "observation") else point(t)
            assert thin.get_action(episode, seen) in (0, 1)
            thin.log_returns(episode, np.inf if (t, where) == (2, "reward") else 1.0)
        thin.end_episode(episode, point(np.nan if where == "last observation" else 4.0))
        play(thin, 30)
    lines = [r.getMessage() for r in caplog.records if "the episode is dropped" in r.getMessage()]
    assert len(lines) == 1, lines
    chunks = chunks_of(learner, 30)
    assert all(np.isfinite(chunk.columns["rewards"]).all() for chunk in chunks)
    assert broker.status.rejects == {}


def test_a_client_can_wait_for_a_policy_with_a_timeout(
    client: PolicyClient, learner: Learner, broker: BrokerThread
) -> None:
    assert not client.wait_for_policy(0.05)
    with ServerThread(broker.address) as server:
        thin = PolicyClient(server.endpoint, inference_mode="remote")
        assert not thin.wait_for_policy(0.05)
        publish(learner, one_module())
        assert client.wait_for_policy(DEADLINE_S)
        assert thin.wait_for_policy(DEADLINE_S)
        assert thin.wait_for_policy(0.0)
        thin.close()
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        client.wait_for_policy(0.0)


def test_repeated_short_waits_reconnect(context: Context) -> None:
    with MuteServer(context) as server, PolicyClient(server.endpoint, "remote") as thin:

        def is_reconnected() -> bool:
            assert not thin.wait_for_policy(0.5)
            return server.connections > 1

        wait_until(is_reconnected)


def test_several_episodes_are_open_at_once(client: PolicyClient, learner: Learner) -> None:
    publish(learner, one_module())
    episodes = [client.start_episode(f"e{number}") for number in range(4)]
    for t in range(10):
        seen = {name: point(t) for name in episodes}
        actions = client.get_action(episodes, seen)
        assert actions.keys() == seen.keys()
        for name in episodes:
            client.log_returns(name, 1.0)
    for name in episodes:
        client.end_episode(name, point(10), truncated=True)
    client.close()
    chunks = chunks_of(learner, 40)
    assert len({chunk.episode_id for chunk in chunks}) == 4
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert [(chunk.episode_return, chunk.truncated) for chunk in ended] == [(10.0, True)] * 4


def test_threads_may_share_a_client(client: PolicyClient, learner: Learner) -> None:
    publish(learner, one_module(), flow=OnPolicyFlow(train_batch_env_steps=400))
    threads = [threading.Thread(target=play, args=(client, 25)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
        assert not thread.is_alive()
    assert sum(chunk.length for chunk in chunks_of(learner, 60)) >= 60


def test_an_episode_without_training_is_not_recorded(
    client: PolicyClient, learner: Learner, broker: BrokerThread
) -> None:
    publish(learner, one_module())
    assert len(play(client, 1000, training_enabled=False)) == 1000
    assert broker.status.ledger.produced == 0
    assert broker.status.actors[0].unrecorded_env_steps == 0


def test_a_simulator_that_cannot_wait_continues_without_credit(
    broker: BrokerThread, learner: Learner
) -> None:
    publish(learner, one_module())
    with PolicyClient(broker.address, actor="sim", without_credit="act") as client:
        play(client, 1000)  # far more than the learner wants

        def are_counted() -> bool:
            actor = broker.status.actors[0]
            recorded, unrecorded = actor.env_steps, actor.unrecorded_env_steps
            return unrecorded > 400 and recorded + unrecorded >= 990

        wait_until(are_counted)
    assert sum(chunk.length for chunk in chunks_of(learner, 100)) >= 100


def test_new_weights_are_used_from_the_next_batch_or_on_request(
    client: PolicyClient, learner: Learner, broker: BrokerThread
) -> None:
    publish(learner, one_module())
    episode = client.start_episode()
    client.get_action(episode, point(0))
    client.log_returns(episode, 1.0)
    client.get_action(episode, point(1))
    publish(learner, one_module(), number=2)
    wait_until(lambda: broker.status.version == "1.2")
    wait_until(lambda: [actor.version for actor in broker.status.actors] == ["1.2"])
    client.update_policy_weights()
    client.log_returns(episode, 1.0)
    client.get_action(episode, point(2))
    [batch] = learner.take(1)
    assert batch.lease.version.number == 1
    [chunk] = unpack_batch(batch.payload)
    assert chunk.length == 1


def test_agents_have_modules_and_may_leave_early(broker: BrokerThread, learner: Learner) -> None:
    hunter = shared_export(Box(-10.0, 10.0, (2,)), Discrete(2))
    prey = shared_export(Box(-10.0, 10.0, (3,)), Box(-1.0, 1.0, (1,)))
    publish(learner, {"hunter": hunter, "prey": prey}, multi_agent=True)
    mapping = {"h1": "hunter", "h2": "hunter", "p": "prey"}
    with PolicyClient(broker.address, actor="sim", policy_mapping_fn=mapping.__getitem__) as client:
        episode = client.start_episode()
        for t in range(6):
            seen = {"h1": point(t), "p": np.zeros(3, np.float32)}
            seen |= {"h2": point(t)} if t < 3 else {}
            actions = client.get_action(episode, seen)
            assert actions.keys() == seen.keys()
            client.log_returns(
                episode, dict.fromkeys(seen, 1.0), multiagent_done_dict={"h2": t == 2}
            )
        client.end_episode(episode, {"h1": point(6), "p": np.zeros(3, np.float32)})
    chunks = chunks_of(learner, 6)
    assert {(c.module_id, c.agent_id, c.length, c.episode_return) for c in chunks} == {
        ("hunter", "h1", 6, 6.0),
        ("hunter", "h2", 3, 3.0),
        ("prey", "p", 6, 6.0),
    }
    assert all(chunk.terminated for chunk in chunks)


OFF_POLICY = OffPolicyFlow(sample_env_steps=10)


@pytest.mark.parametrize(
    ("space", "taken", "recorded"),
    [
        (Discrete(3), 2, 2),
        (Box(-2.0, 6.0, (2,)), [-2.0, 4.0], [-1.0, 0.5]),  # normalised to [-1, 1]
    ],
)
def test_foreign_actions_are_recorded_for_off_policy_learners(
    client: PolicyClient, learner: Learner, space: Any, taken: Any, recorded: Any
) -> None:
    publish(
        learner, {DEFAULT_MODULE: shared_export(Box(-10.0, 10.0, (2,)), space)}, flow=OFF_POLICY
    )
    episode = client.start_episode()
    for t in range(3):
        client.log_action(episode, point(t), taken)
        client.log_returns(episode, 1.0)
    client.get_action(episode, point(3))
    client.end_episode(episode, point(4))
    client.close()
    [chunk] = chunks_of(learner, 4)
    assert chunk.columns["obs"][:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert chunk.columns["actions"][:3].tolist() == [recorded] * 3
    assert chunk.columns["action_logp"][:3].tolist() == [0.0] * 3
    assert chunk.episode_return == 3.0


@pytest.mark.parametrize("start", [0, 3])
def test_a_foreign_action_outside_its_space_is_refused(
    client: PolicyClient, learner: Learner, start: int
) -> None:
    space: Any = Discrete(2, start=start)
    publish(
        learner, {DEFAULT_MODULE: shared_export(Box(-10.0, 10.0, (2,)), space)}, flow=OFF_POLICY
    )
    episode = client.start_episode()
    for action in (start - 1, start + 2):
        with pytest.raises(ConfigError, match=f"the action {action} is outside the action space"):
            client.log_action(episode, point(0), action)
    client.log_action(episode, point(0), start + 1)


def test_foreign_actions_are_refused_by_on_policy_learners(
    client: PolicyClient, learner: Learner
) -> None:
    publish(learner, one_module())
    episode = client.start_episode()
    with pytest.raises(ConfigError, match="DQN and SAC"):
        client.log_action(episode, point(0), 1)
    assert client.get_action(episode, point(0)) in (0, 1)


def test_misuse_is_an_error(client: PolicyClient, learner: Learner) -> None:
    with pytest.raises(LocalProtocolError, match="start_episode"):
        client.log_returns("nobody", 1.0)
    episode = client.start_episode("mine")
    with pytest.raises(LocalProtocolError, match="already open"):
        client.start_episode("mine")
    publish(learner, one_module())
    with pytest.raises(LocalProtocolError, match="first action"):
        client.log_returns(episode, 1.0)
    with pytest.raises(ConfigError, match="same environment"):
        client.get_action(episode, np.zeros(3, np.float32))
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        client.get_action(episode, point(0))


@pytest.fixture(params=["local", "remote"])
def either(
    request: pytest.FixtureRequest, broker: BrokerThread, learner: Learner
) -> Iterator[PolicyClient]:
    """A client in each mode, beside a learner of `one_module`."""
    publish(learner, one_module())
    with ServerThread(broker.address) as server:
        address = server.endpoint if request.param == "remote" else broker.address
        with PolicyClient(address, request.param) as client:
            yield client


def test_a_call_that_failed_may_be_repeated_with_other_values(
    either: PolicyClient, learner: Learner, broker: BrokerThread
) -> None:
    for _ in range(8):
        episode = either.start_episode()
        for t in range(5):
            either.get_action(episode, point(t))
            with pytest.raises(ConfigError, match="the simulator's reward is 'a lot'"):
                either.log_returns(episode, "a lot")  # type: ignore[arg-type]
            with pytest.raises(ConfigError, match="it is a dict"):
                either.log_returns(episode, 1.0, info=np.zeros(2))  # type: ignore[arg-type]
            either.log_returns(episode, 1.0, info={"speed": "fast"})
        for truncated in (None, "False", np.array([True, False])):
            with pytest.raises(ConfigError, match="the simulator's 'truncated' is"):
                either.end_episode(episode, point(5), truncated=truncated)  # type: ignore[arg-type]
        with pytest.raises((ConfigError, RefusedError)):
            either.end_episode(episode, np.ones(3))
        either.end_episode(episode, point(5), truncated=np.array([True]))  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match="there is no open episode"):
            either.end_episode(episode, point(5))
    ended = [chunk for chunk in chunks_of(learner, 30) if chunk.is_done]
    assert {(chunk.episode_return, chunk.truncated) for chunk in ended} == {(5.0, True)}
    assert broker.status.rejects == {}


def test_a_reward_beyond_float32_breaks_its_episode_off_alone(
    either: PolicyClient, learner: Learner, broker: BrokerThread
) -> None:
    broken = either.start_episode()
    either.get_action(broken, point(0))
    either.log_returns(broken, 1e39)
    either.get_action(broken, point(1))
    either.end_episode(broken, point(2))
    for _ in range(8):
        play(either, 5)
    ended = [chunk for chunk in chunks_of(learner, 30) if chunk.is_done]
    assert {chunk.episode_return for chunk in ended} == {15.0}
    assert broker.status.rejects == {}


def test_observations_that_are_no_arrays_are_named(either: PolicyClient) -> None:
    episode = either.start_episode()
    torch = pytest.importorskip("torch")
    for observation in ([[1, 2], [3]], torch.ones(2, requires_grad=True)):
        with pytest.raises(ConfigError, match="the simulator's 'obs' is not an array"):
            either.get_action(episode, observation)
    assert either.get_action(episode, point(0)) in (0, 1)


def test_arguments_of_another_kind_are_named(either: PolicyClient) -> None:
    with pytest.raises(ConfigError, match="an episode id is a text, not 5"):
        either.start_episode(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'training_enabled' is None"):
        either.start_episode(training_enabled=None)  # type: ignore[arg-type]
    one, other = either.start_episode(), either.start_episode()
    with pytest.raises(ConfigError, match="observations are a dict by episode id"):
        either.get_action([one, other], {one: point(0)})
    with pytest.raises(LocalProtocolError, match="there is no open episode"):
        either.log_action([one], point(0), 1)  # type: ignore[arg-type]
