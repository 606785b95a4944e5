"""Thin simulators that ask a real policy server, which delivers to a real broker."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from support.policies import shared_export
from support.running import BrokerThread, Context, Learner, in_thread, wait_until
from support.serving import (
    ServerThread,
    ThinSimulator,
    chunks_of,
    one_module,
    point,
    publish,
)

from headrace.actors.inference.policy_client import PolicyClient
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.protocol.errors import LocalProtocolError, RefusedError
from headrace.protocol.flow_control import OffPolicyFlow, OnPolicyFlow

pytestmark = pytest.mark.rllib

AGENT = "default_agent"


@pytest.fixture
def learner(broker: BrokerThread, context: Context) -> Iterator[Learner]:
    with Learner(context, broker.address) as learner:
        yield learner


@pytest.fixture
def served(broker: BrokerThread, learner: Learner) -> Iterator[ServerThread]:
    publish(learner, one_module())
    with ServerThread(broker.address) as server:
        yield server


@pytest.fixture
def thin(context: Context, served: ServerThread) -> Iterator[ThinSimulator]:
    with closing(ThinSimulator(context, served.endpoint)) as thin:
        yield thin


def turn(value: float, reward: float = 0.0, **more: Any) -> dict[str, Any]:
    return {AGENT: {"observation": [value, value], "reward": reward, **more}}


def play(thin: ThinSimulator, episode: str, length: int) -> list[Any]:
    actions: list[Any] = []
    for t in range(length):
        header, acted = thin.ask("act", episode, t, turn(t, float(t)))
        assert (header["kind"], header["episode"], header["turn"]) == ("actions", episode, t)
        actions.append(acted[AGENT])
    header, _ = thin.ask("end", episode, length, turn(length, float(length)))
    assert header["kind"] == "ended"
    return actions


def test_a_thin_simulator_gets_actions_and_is_recorded(
    thin: ThinSimulator, learner: Learner
) -> None:
    actions = [action for number in range(8) for action in play(thin, f"e{number}", 5)]
    chunks = chunks_of(learner, 30)
    recorded = np.concatenate([chunk.columns["actions"] for chunk in chunks]).tolist()
    assert recorded == actions[: len(recorded)]
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert len(ended) == len(recorded) // 5
    assert {(chunk.episode_return, chunk.terminated) for chunk in ended} == {(15.0, True)}
    assert all(chunk.columns["obs"][-1, 0] == 5.0 for chunk in ended)


def test_a_thin_simulators_next_episode_is_evaluated_when_the_learner_asks(
    thin: ThinSimulator, learner: Learner
) -> None:
    publish(learner, one_module(), number=2, flow=OnPolicyFlow(train_batch_env_steps=1_000_000))
    play(thin, "before", 3)
    evaluated: list[LeasedBatch] = []
    with in_thread(lambda _: evaluated.extend(learner.link.evaluate(2))):
        episodes = itertools.count()

        def is_evaluated_after_another_episode() -> bool:
            play(thin, f"e{next(episodes)}", 3)
            return bool(evaluated)

        wait_until(is_evaluated_after_another_episode)
    assert [(b.lease.purpose, b.lease.env_steps) for b in evaluated] == [("evaluate", 3)] * 2
    chunks = [chunk for batch in evaluated for chunk in batch.unpack()]
    assert [(c.length, c.terminated, c.episode_return) for c in chunks] == [(3, True, 6.0)] * 2


def test_a_repeated_request_changes_nothing_and_gets_the_same_answer(
    thin: ThinSimulator, served: ServerThread, learner: Learner
) -> None:
    for t in range(60):
        first = thin.ask("act", "e", t, turn(t, float(t)))
        assert thin.ask("act", "e", t, turn(t, float(t))) == first
    ended = thin.ask("end", "e", 60, turn(60, 60.0))
    assert thin.ask("end", "e", 60, turn(60, 60.0)) == ended
    served.server.stop()
    chunks = chunks_of(learner, 60)
    assert sum(chunk.length for chunk in chunks) == 60
    assert [chunk.episode_return for chunk in chunks if chunk.is_done] == [sum(range(61))]


def test_a_request_must_wait_for_the_answer_to_the_previous_one(
    broker: BrokerThread, learner: Learner, context: Context
) -> None:
    with (
        ServerThread(broker.address) as server,
        closing(ThinSimulator(context, server.endpoint)) as thin,
    ):
        thin.send("act", "e", 0, turn(0))  # there is no policy yet
        header, _ = thin.ask("act", "e", 1, turn(1, 1.0))
        assert (header["code"], header["turn"]) == ("invalid_turn", 1)
        assert header["reason"] == "turn 0 is not answered yet"
        publish(learner, one_module())
        header, _ = thin.receive()
        assert (header["kind"], header["turn"]) == ("actions", 0)
        assert thin.ask("act", "e", 1, turn(1, 1.0))[0]["kind"] == "actions"


def test_another_connection_may_continue_an_episode(
    thin: ThinSimulator, served: ServerThread, context: Context
) -> None:
    thin.ask("act", "e", 0, turn(0))
    with closing(ThinSimulator(context, served.endpoint)) as other:
        assert other.ask("act", "e", 1, turn(1, 1.0))[0]["kind"] == "actions"


def test_the_episode_of_a_vanished_simulator_is_truncated(
    broker: BrokerThread, context: Context, learner: Learner
) -> None:
    publish(learner, one_module())
    with ServerThread(broker.address, episode_timeout_s=0.5) as server:
        with closing(ThinSimulator(context, server.endpoint)) as thin:
            for t in range(4):
                thin.ask("act", "gone", t, turn(t, 1.0 if t else 0.0))
        [chunk] = chunks_of(learner, 3)
        assert (chunk.length, chunk.truncated, chunk.terminated) == (3, True, False)
        assert (chunk.episode_return, chunk.columns["obs"][-1, 0]) == (3.0, 3.0)
        with closing(ThinSimulator(context, server.endpoint)) as back:
            assert back.ask("act", "gone", 4, turn(4))[0]["code"] == "unknown_episode"


@pytest.mark.parametrize(
    ("first", "request_", "code", "reason"),
    [
        (False, ("act", 3, turn(0)), "unknown_episode", "begin another"),
        (True, ("act", 5, turn(0)), "invalid_turn", "turn 1 comes next"),
        (True, ("act", 1, {AGENT: {"observation": [1.0]}}), "invalid_turn", "shape"),
        (True, ("act", 1, {AGENT: {"observation": ["a", "b"]}}), "invalid_turn", "float32"),
        (True, ("act", 1, {AGENT: {"observation": [1.0, float("nan")]}}), "invalid_turn", "finite"),
        (True, ("act", 1, {AGENT: {}}), "invalid_turn", "no observation"),
        (False, ("act", 0, turn(0, 1.0)), "invalid_turn", "first action"),
        (True, ("act", 1, turn(0, float("inf"))), "malformed", "reward"),
        (True, ("act", 1, {AGENT: 5}), "malformed", "not a map"),
        (True, ("act", 1, {AGENT: {"reward": "much"}}), "malformed", "finite number"),
        (True, ("dance", 1, {}), "unknown_kind", "dance"),
    ],
)
def test_an_invalid_request_is_denied_with_a_reason_and_harms_nothing(
    thin: ThinSimulator, first: bool, request_: tuple[str, int, Any], code: str, reason: str
) -> None:
    if first:
        thin.ask("act", "e", 0, turn(0))
    kind, number, turns = request_
    denial, _ = thin.ask(kind, "e", number, turns)
    assert (denial["kind"], denial["code"]) == ("denial", code)
    assert reason in denial["reason"]
    number = 1 if first else 0
    assert thin.ask("act", "e", number, turn(1))[0]["kind"] == "actions"


def test_malformed_requests_are_denied_and_the_server_continues(thin: ThinSimulator) -> None:
    for frames in ([b"\xc1"], [b"", b""], [msgspec.msgpack.encode({"kind": "act", "wire": 1})]):
        thin.socket.send_multipart(frames)
        assert thin.receive()[0]["kind"] == "denial"
    assert play(thin, "e", 2)


def test_requests_that_arrive_together_are_served_together(
    served: ServerThread, context: Context
) -> None:
    threads = [
        threading.Thread(target=_play_by_oneself, args=(context, served.endpoint, f"e{number}"))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
        assert not thread.is_alive()


def _play_by_oneself(context: Context, endpoint: str, episode: str) -> None:
    with closing(ThinSimulator(context, endpoint)) as thin:
        play(thin, episode, 5)


def test_a_policy_client_acts_remotely_with_the_same_verbs(
    served: ServerThread, learner: Learner
) -> None:
    with PolicyClient(served.endpoint, "remote") as client:
        for _ in range(8):
            episode = client.start_episode()
            for t in range(5):
                assert client.get_action(episode, point(t)) in (0, 1)
                client.log_returns(episode, t)
                client.log_returns(episode, 1.0)
            client.end_episode(episode, point(5), truncated=True)
        both = [client.start_episode() for _ in range(2)]
        assert client.get_action(both, {name: point(0) for name in both}).keys() == set(both)
        with pytest.raises(RefusedError, match=r"refused by the policy server .*shape"):
            client.get_action(both[0], np.zeros(3, np.float32))
    chunks = chunks_of(learner, 30)
    ended = [chunk for chunk in chunks if chunk.is_done]
    assert {(chunk.episode_return, chunk.truncated) for chunk in ended} == {(15.0, True)}


def test_observations_of_other_dtypes_are_converted_remotely_too(
    served: ServerThread, learner: Learner
) -> None:
    with PolicyClient(served.endpoint, "remote") as client:
        episode = client.start_episode()
        for value in (point(0).astype(np.float64), [1.0, 1.0], [2, 2], point(3).astype(np.int16)):
            client.get_action(episode, value)
            client.log_returns(episode, np.float64(1.0))
        client.end_episode(episode, point(4).astype(np.float16))
    [chunk] = chunks_of(learner, 4)
    assert chunk.columns["obs"].dtype == np.float32
    assert chunk.columns["obs"][:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_foreign_actions_are_recorded_or_refused_remotely_too(
    broker: BrokerThread, learner: Learner
) -> None:
    publish(learner, one_module(), flow=OffPolicyFlow(sample_env_steps=10))
    with ServerThread(broker.address) as server, PolicyClient(server.endpoint, "remote") as client:
        episode = client.start_episode()
        client.log_action(episode, point(0), 1)
        client.log_returns(episode, 1.0)
        client.end_episode(episode, point(1))
        with pytest.raises(RefusedError, match="shape"):
            client.log_action(client.start_episode(), point(0), [1, 2])
    [chunk] = chunks_of(learner, 1)
    assert chunk.columns["actions"].tolist() == [1]


def test_an_episode_continues_after_a_server_restart(
    broker: BrokerThread, context: Context, learner: Learner
) -> None:
    publish(learner, one_module())
    with ServerThread(broker.address, actor="first") as server:
        client = PolicyClient(server.endpoint, "remote")
        episode = client.start_episode()
        client.get_action(episode, point(0))
    with (
        ServerThread(broker.address, actor="second", endpoint=server.endpoint),
        client,
    ):
        client.log_returns(episode, 1.0)
        for t in range(1, 4):
            assert client.get_action(episode, point(t)) in (0, 1)
            client.log_returns(episode, 1.0)
        client.end_episode(episode, point(4))
    [chunk] = chunks_of(learner, 3)
    assert (chunk.length, chunk.episode_return) == (3, 3.0)


def test_a_client_can_be_closed_while_it_waits_for_a_server() -> None:
    client = PolicyClient("tcp://127.0.0.1:1", "remote")
    episode = client.start_episode()
    reasons: list[str] = []

    def ask() -> None:
        try:
            client.get_action(episode, point(0))
        except LocalProtocolError as error:
            reasons.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    client.close()
    thread.join(10.0)
    assert reasons == ["the client is closed"]


def test_agents_act_remotely_and_may_leave_early(
    broker: BrokerThread, context: Context, learner: Learner
) -> None:
    hunter = shared_export(Box(-10.0, 10.0, (2,)), Discrete(2))
    prey = shared_export(Box(-10.0, 10.0, (3,)), Box(-1.0, 1.0, (1,)))
    publish(learner, {"hunter": hunter, "prey": prey}, multi_agent=True)
    mapping = {"h1": "hunter", "h2": "hunter", "p": "prey"}
    with (
        ServerThread(broker.address, module_of=mapping.__getitem__) as server,
        PolicyClient(server.endpoint, "remote") as client,
    ):
        episode = client.start_episode()
        for t in range(6):
            seen = {"h1": point(t), "p": np.zeros(3, np.float32)}
            seen |= {"h2": point(t)} if t < 3 else {}
            assert client.get_action(episode, seen).keys() == seen.keys()
            rewards = dict.fromkeys(seen, 1.0)
            client.log_returns(episode, rewards, multiagent_done_dict={"h2": t == 2})
        client.end_episode(episode, {"h1": point(6), "p": np.zeros(3, np.float32)})
    chunks = chunks_of(learner, 6)
    assert {(c.module_id, c.agent_id, c.length, c.episode_return) for c in chunks} == {
        ("hunter", "h1", 6, 6.0),
        ("hunter", "h2", 3, 3.0),
        ("prey", "p", 6, 6.0),
    }
    wait_until(lambda: broker.status.ledger.produced > 0)
