"""A user's own simulator, in the few lines that the README shows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from support.policies import shared_export
from support.running import DEADLINE_S, BrokerThread, Context, Learner, connect, wait_until

from headrace.actors.agents.agent import Agent
from headrace.actors.agents.vector_agent import VectorAgent
from headrace.actors.connection.client import Client
from headrace.actors.recording.step_result import StepResult
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.flow_control import OnPolicyFlow
from headrace.protocol.manifest import (
    DEFAULT_MODULE,
    Manifest,
    Policy,
    encode_policy,
    policy_digest,
)
from headrace.protocol.payload import encode_payload
from headrace.protocol.trajectory import Chunk, unpack_batch

pytestmark = pytest.mark.rllib


class Line:
    """A point on a line that is pushed left or right; it falls off after five steps."""

    def reset(self) -> Array:
        self.t = 0
        return np.zeros(2, np.float32)

    def step(self, action: Any) -> tuple[Array, float, bool]:
        self.t += 1
        return np.full(2, self.t, np.float32), float(self.t), self.t == 5


@pytest.fixture
def client(broker: BrokerThread, context: Context) -> Iterator[Client]:
    with connect(broker, context, "line") as client:
        yield client


@pytest.fixture
def learner(broker: BrokerThread, context: Context) -> Iterator[Learner]:
    with Learner(context, broker.address) as learner:
        yield learner


LOOSE = OnPolicyFlow(train_batch_env_steps=160)
STRICT = OnPolicyFlow(train_batch_env_steps=160, overlap=0.0, max_policy_lag=0)


def publish(learner: Learner, action: Any, number: int = 1, flow: OnPolicyFlow = LOOSE) -> None:
    made = shared_export(Box(-10.0, 10.0, (2,)), action)
    manifest = Manifest(
        run="test-run",
        flow=flow,
        modules={DEFAULT_MODULE: made.exported.manifest},
    )
    frame = encode_policy(Policy(manifest, {DEFAULT_MODULE: made.exported.graph}))
    weights = encode_payload({DEFAULT_MODULE: made.weights})
    digest = f"{number:08x}"
    learner.link.offer(OfferedWeights(number, digest, policy_digest(frame), frame, weights))


def run(client: Client, steps: int) -> list[Any]:
    agent, simulator = Agent(client, seed=0), Line()
    actions: list[Any] = []
    observation = simulator.reset()
    while len(actions) < steps:
        action = agent.act(observation, timeout_s=DEADLINE_S)
        observation, reward, is_over = simulator.step(action)
        agent.record(observation, reward, terminated=is_over)
        actions.append(action)
        if is_over:
            observation = simulator.reset()
    return actions


def chunks_of(learner: Learner, env_steps: int) -> list[Chunk]:
    batches = learner.take(env_steps)
    return [chunk for batch in batches for chunk in unpack_batch(batch.payload)]


def test_a_users_own_simulator_is_recorded_step_by_step(client: Client, learner: Learner) -> None:
    publish(learner, Discrete(2))
    actions = run(client, 40)
    chunks = chunks_of(learner, 30)
    recorded = np.concatenate([chunk.columns["actions"] for chunk in chunks]).tolist()
    assert all(isinstance(action, int) for action in actions)
    assert recorded == actions[: len(recorded)]
    episodes = [chunk for chunk in chunks if chunk.is_done]
    assert len(episodes) == len(recorded) // 5
    assert {chunk.episode_return for chunk in episodes} == {15.0}
    assert all(chunk.columns["obs"][-1, 0] == 5.0 for chunk in episodes)
    assert all(chunk.columns["obs"][0, 0] == chunk.t_started for chunk in chunks)


def test_a_batch_that_would_be_stale_is_discarded_but_never_two_in_a_row(
    client: Client, learner: Learner, broker: BrokerThread
) -> None:
    publish(learner, Discrete(2), 1, STRICT)
    agent = Agent(client, seed=0)
    pushed: list[int] = []
    for number in (2, 3, 4):
        assert agent.act(np.zeros(2, np.float32), timeout_s=DEADLINE_S) is not None
        begun = client.newest_version
        assert begun is not None
        publish(learner, Discrete(2), number, STRICT)
        wait_until(partial(client.is_outdated, begun))
        before = broker.status.actors[0].unrecorded_env_steps
        agent.record(np.zeros(2, np.float32), 1.0)
        wait_until(
            lambda: (
                broker.status.actors[0].unrecorded_env_steps > before  # noqa: B023
                or broker.status.ledger.produced > len(pushed)
            )
        )
        if broker.status.ledger.produced > len(pushed):
            pushed.append(number)
    assert pushed == [3]


def test_continuous_actions_are_arrays(client: Client, learner: Learner) -> None:
    publish(learner, Box(-1.0, 1.0, (3,)))
    actions = run(client, 10)
    assert all(action.shape == (3,) for action in actions)


def test_act_times_out_without_a_learner(client: Client) -> None:
    assert Agent(client).act(np.zeros(2, np.float32), timeout_s=0.1) is None


def test_observations_that_do_not_fit_are_an_error(client: Client, learner: Learner) -> None:
    publish(learner, Discrete(2))
    with pytest.raises(ConfigError, match="same environment"):
        Agent(client).act(np.zeros(3, np.float32), timeout_s=DEADLINE_S)


def test_recording_needs_an_action_first(client: Client) -> None:
    step = StepResult({}, np.zeros(1), np.zeros(1, bool), np.zeros(1, bool), {})
    with pytest.raises(LocalProtocolError, match="act"):
        VectorAgent(client, 1).record(step)
