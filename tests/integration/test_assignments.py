"""A learner's assignments: which episodes follow them, and the task that batches name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from support.levels import Levels
from support.pairs import Pair
from support.policies import Exported
from support.running import (
    DEADLINE_S,
    BrokerThread,
    Context,
    Learner,
    connect,
    in_thread,
    wait_until,
)
from support.serving import ServerThread, ThinSimulator, one_module, point, publish
from support.tasks import (
    assert_that_tasks_are_true,
    assert_that_tasks_are_true_or_mixed,
    levels_of,
    take_until,
)

from headrace.actors.agents.agent import Agent
from headrace.actors.connection.assignments import Reset
from headrace.actors.connection.client import Client
from headrace.actors.inference.policy_client import InferenceMode, PolicyClient
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import make_environment
from headrace.actors.simulators.multi_agent_collector import MultiAgentCollector
from headrace.actors.simulators.multi_agent_simulators import simulator_of
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.messages import Assignment
from headrace.protocol.trajectory import Chunk, unpack_batch

pytestmark = pytest.mark.rllib

MakeCollector = Callable[[Client], Collector | MultiAgentCollector]


def one_environment(client: Client) -> Collector:
    return Collector(client, make_environment("Levels-v0", 1, {}), seed=1)


def two_environments(client: Client) -> Collector:
    return Collector(client, make_environment("Levels-v0", 2, {}), seed=1)


def one_simulator(client: Client) -> MultiAgentCollector:
    return MultiAgentCollector(client, [simulator_of(Pair(Levels()))], seed=1)


def two_simulators(client: Client) -> MultiAgentCollector:
    return MultiAgentCollector(client, [simulator_of(Pair(Levels())) for _ in range(2)], seed=1)


@contextmanager
def collecting(broker: BrokerThread, context: Context, make: MakeCollector) -> Generator[None]:
    with connect(broker, context, "actor") as client, in_thread(make(client).run):
        yield


def level(number: int, at: int) -> Assignment:
    return Assignment(number, f"level-{at}", {"level": at})


def modules(make: MakeCollector) -> tuple[dict[str, Exported], bool]:
    return one_module(), make in (one_simulator, two_simulators)


@pytest.mark.parametrize("make", [one_environment, two_environments, one_simulator, two_simulators])
def test_new_episodes_follow_the_assignment_and_their_batches_name_its_task(
    broker: BrokerThread, context: Context, make: MakeCollector
) -> None:
    policies, multi_agent = modules(make)
    with Learner(context, broker.address) as learner, collecting(broker, context, make):
        learner.link.assign(level(1, 3))
        publish(learner, policies, multi_agent=multi_agent)
        taken = take_until(learner, "level-3")
        assert [batch.lease.task for batch in taken] == ["level-3"] * len(taken)
        learner.link.assign(level(2, 7))
        taken += take_until(learner, "level-7")
        assert {batch.lease.purpose for batch in taken} == {"train"}
        assert_that_tasks_are_true(taken)
        assert broker.status.task == "level-7"


@pytest.mark.parametrize("make", [one_environment, one_simulator])
def test_an_episode_finishes_before_the_next_one_changes_task(
    broker: BrokerThread, context: Context, make: MakeCollector
) -> None:
    policies, multi_agent = modules(make)
    chunks: list[Chunk] = []
    with Learner(context, broker.address) as learner, collecting(broker, context, make):
        publish(learner, policies, multi_agent=multi_agent)
        for number in range(1, 6):
            learner.link.assign(level(number, number))
            for batch in take_until(learner, f"level-{number}"):
                chunks += unpack_batch(batch.payload)
    by_episode = itertools.groupby(sorted(chunks, key=_episode), key=_episode)
    lengths = {name: sum(chunk.length for chunk in own) for name, own in by_episode}
    ends = {_episode(chunk) for chunk in chunks if chunk.is_done}
    unended = lengths.keys() - ends
    assert len(ends) > 5
    assert {lengths[name] for name in ends} == {5}
    agents = 2 if multi_agent else 1
    assert len(unended) <= agents, "only the last episode of all may be incomplete"


def _episode(chunk: Chunk) -> tuple[str, str]:
    return chunk.episode_id, chunk.agent_id


def test_an_actor_that_joins_later_at_another_broker_gets_the_assignment(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    first = start_broker()
    with Learner(context, first.address) as learner:
        learner.link.assign(level(1, 3))
        publish(learner, one_module())
        wait_until(lambda: first.status.task == "level-3")
        first.stop()
        second = start_broker(first.address)
        with collecting(second, context, one_environment):
            assert {batch.lease.task for batch in learner.take(20)} == {"level-3"}


def test_another_learner_run_begins_without_an_assignment(
    broker: BrokerThread, context: Context
) -> None:
    with collecting(broker, context, one_environment):
        with Learner(context, broker.address) as learner:
            learner.link.assign(level(1, 3))
            publish(learner, one_module())
            take_until(learner, "level-3")
        with Learner(context, broker.address, learner_run="run-2") as learner:
            publish(learner, one_module())
            for batch in take_until(learner, None)[-1:]:
                assert levels_of(batch) == {0.0}
            assert broker.status.task is None


def test_a_seed_gives_the_first_episode_of_every_actor_the_same_start(
    broker: BrokerThread, context: Context
) -> None:
    def start(seed: int) -> list[float]:
        env = make_environment("CartPole-v1", 1, {})
        observations = env.reset(seed)["obs"]
        env.close()
        return [float(value) for value in observations[0]]

    policies = {"default_policy": Exported(*_cartpole_spaces())}
    with Learner(context, broker.address) as learner:
        learner.link.assign(Assignment(1, "seeded", seed=0))
        publish(learner, policies)
        with collecting(
            broker, context, lambda c: Collector(c, make_environment("CartPole-v1", 1, {}), seed=9)
        ):
            [first, *_] = unpack_batch(learner.take(20)[0].payload)
    assert first.columns["obs"][0].tolist() == start(0) != start(9)


def _cartpole_spaces() -> tuple[Any, Any]:
    env: Any = make_environment("CartPole-v1", 1, {})
    inner = env._env
    return inner.observation_space, inner.action_space


def test_a_simulator_that_owns_its_loop_asks_before_each_episode(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "own") as client:
        publish(learner, one_module(), flow=OffPolicyFlow(sample_env_steps=100))
        agent, simulator = Agent(client, seed=1), Levels()
        tasks: list[str | None] = []
        taken: list[LeasedBatch] = []
        options: dict[str, Any] = {}
        observation, _ = simulator.reset()
        while len(tasks) < 3:
            reset = agent.take_reset()
            if reset is not None:
                tasks.append(reset.task)
                options = dict(reset.options)
                observation, _ = simulator.reset(options=options)
            action = agent.act(observation, timeout_s=0.2)
            if action is None:
                taken += learner.take(5, timeout_s=0.0)
                continue
            observation, reward, is_over, _, _ = simulator.step(action)
            agent.record(observation, reward, terminated=is_over)
            if is_over:  # at least one episode at each level
                observation, _ = simulator.reset(options=options)
                learner.link.assign(level(len(tasks) + 1, len(tasks) + 3))
        assert tasks == ["level-3", "level-4", "level-5"]
        taken += take_until(learner, "level-4")
        assert {batch.lease.task for batch in taken} == {None, "level-3", "level-4"}
        assert_that_tasks_are_true([batch for batch in taken if batch.lease.task is not None])
        assert {at for batch in taken if batch.lease.task is None for at in levels_of(batch)} == {0}


def test_a_simulator_that_never_asks_is_not_affected(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "own") as client:
        learner.link.assign(level(1, 3))
        publish(learner, one_module())
        agent, simulator = Agent(client, seed=1), Levels()
        observation, _ = simulator.reset()
        batches: list[LeasedBatch] = []
        while not batches:
            action = agent.act(observation, DEADLINE_S)
            observation, reward, is_over, _, _ = simulator.step(action)
            agent.record(observation, reward, terminated=is_over)
            if is_over:
                observation, _ = simulator.reset()
            batches = learner.take(5, timeout_s=0.0)
        assert batches[0].lease.task is None
        assert batches[0].lease.env_steps > 5, "it was cut at the end of an episode"


def play(client: PolicyClient, simulator: Levels, begun: str | None = None) -> Reset:
    """Plays one episode, which may have begun already, and returns its assignment."""
    episode = begun or client.start_episode()
    assigned = client.assigned(episode)
    observation, _ = simulator.reset(options=dict(assigned.options))
    is_over = False
    while not is_over:
        action = client.get_action(episode, observation)
        observation, reward, is_over, _, _ = simulator.step(action)
        client.log_returns(episode, reward)
    client.end_episode(episode, observation)
    return assigned


def test_a_policy_client_names_the_task_of_its_episodes(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner:
        with PolicyClient(broker.address, seed=1) as client:
            unheard = client.start_episode()
            assert client.assigned(unheard).task is None
            learner.link.assign(level(1, 3))
            publish(learner, one_module())
            tasks = [play(client, Levels(), unheard).task]
            while tasks.count("level-3") < 12:
                tasks.append(play(client, Levels()).task)
        taken = take_until(learner, "level-3")
        for batch in taken:
            assert levels_of(batch) == ({3.0} if batch.lease.task else {0.0})
        assert {batch.lease.task for batch in taken[1:]} == {"level-3"}


def test_a_thin_simulator_gets_the_assignment_when_it_asks_and_when_an_episode_ends(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner:
        learner.link.assign(level(1, 3))
        publish(learner, one_module())
        with (
            ServerThread(broker.address) as server,
            PolicyClient(server.endpoint, "remote") as client,
        ):
            assert client.wait_for_policy(DEADLINE_S)
            simulator = Levels()
            assert [play(client, simulator).task for _ in range(10)] == ["level-3"] * 10
            assert {batch.lease.task for batch in learner.take(20)} == {"level-3"}
            learner.link.assign(replace(level(2, 7), seed=5))
            heard: list[Reset] = []
            while [reset.task for reset in heard].count("level-7") < 12:
                heard.append(play(client, simulator))
            first = [reset.task for reset in heard].index("level-7")
            assert [reset.seed for reset in heard[first:]] == [5] + [None] * 11
            assert_that_tasks_are_true_or_mixed(take_until(learner, "level-7"), 3.0, 7.0)


@contextmanager
def at_level_3(
    broker: BrokerThread, context: Context, mode: InferenceMode
) -> Generator[tuple[Learner, PolicyClient, ServerThread]]:
    """A client with an assignment, acting locally or remotely."""
    with Learner(context, broker.address) as learner, ServerThread(broker.address) as server:
        learner.link.assign(level(1, 3))
        publish(learner, one_module())
        address = server.endpoint if mode == "remote" else broker.address
        with PolicyClient(address, mode) as client:
            assert client.wait_for_policy(DEADLINE_S)
            yield learner, client, server


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_an_episode_whose_task_is_asked_for_too_late_names_none(
    broker: BrokerThread, context: Context, mode: InferenceMode
) -> None:
    with at_level_3(broker, context, mode) as (learner, client, server):
        for _ in range(10):
            episode = client.start_episode()
            for _ in range(5):
                client.get_action(episode, point(0.0))
            assert client.assigned(episode).task == "level-3"
            client.end_episode(episode, point(0.0))
        client.close()  # which delivers what it holds
        server.server.stop()
        assert {batch.lease.task for batch in learner.take(20)} == {None}


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_each_open_episode_names_the_task_that_it_began_under(
    broker: BrokerThread, context: Context, mode: InferenceMode
) -> None:
    with at_level_3(broker, context, mode) as (learner, client, _):
        former = client.start_episode()
        learner.link.assign(level(2, 7))
        later = client.start_episode()
        while client.assigned(later).task != "level-7":
            client.get_action(later, point(0.0))
            client.end_episode(later, point(0.0))
            learner.take(1, timeout_s=0.0)
            later = client.start_episode()
        assert client.assigned(former).task == "level-3"
        client.end_episode(later, point(0.0))
        with pytest.raises(LocalProtocolError, match="start_episode"):
            client.assigned(later)


def test_thin_simulators_that_never_ask_name_no_task(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner:
        learner.link.assign(level(1, 3))
        publish(learner, one_module())
        with (
            ServerThread(broker.address) as server,
            closing(ThinSimulator(context, server.endpoint)) as thin,
        ):
            turn = {"default_agent": {"observation": [0.0, 0.0]}}
            for t in range(10):
                thin.ask("act", "e", t, turn)
            header, _ = thin.ask("end", "e", 10, turn)
            assert header["assignment"] == {
                "number": 1,
                "task": "level-3",
                "options": {"level": 3},
            }
            server.server.stop()
            assert {batch.lease.task for batch in learner.take(10)} == {None}
