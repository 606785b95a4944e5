from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest
from support.examples import make_batch
from support.memory_client import MemoryClient

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.recording.batch_lifecycle import BatchLifecycle
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.flow_control import OffPolicyFlow, OnPolicyFlow
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.trajectory import TrajectoryBatch


@dataclass
class Recorder:
    """A recorder of a given size, which counts taken and discarded batches."""

    env_steps: int = 5
    taken: int = 0
    discarded: int = 0

    def take_batch(self) -> tuple[TrajectoryBatch, int]:
        self.taken += 1
        return make_batch(), self.env_steps

    def discard_batch(self) -> int:
        self.discarded += 1
        return self.env_steps


@dataclass
class Fixture:
    client: MemoryClient = field(default_factory=MemoryClient)
    recorder: Recorder = field(default_factory=Recorder)
    used: list[PolicyVersion] = field(default_factory=list[PolicyVersion])
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.batches = BatchLifecycle(self.client, lambda: self.now_s)

    def use(self, update: PolicyUpdate) -> None:
        if update.version in self.client.unusable:
            raise RemoteProtocolError(RejectCode.INVALID_POLICY, "weights without w")
        self.used.append(update.version)

    def begin(self) -> bool:
        return self.batches.begin(self.use, 0.0)


@pytest.fixture
def made() -> Fixture:
    return Fixture()


def test_a_batch_is_begun_with_the_newest_policy_and_pushed_with_it(made: Fixture) -> None:
    assert made.begin()
    assert made.batches.is_open
    made.client.publish(2)
    made.batches.deliver(made.recorder, "level-1")
    assert not made.batches.is_open
    [pushed] = made.client.pushed
    assert (pushed.version, pushed.env_steps, pushed.task) == (PolicyVersion(1, 1), 5, "level-1")
    assert made.used == [PolicyVersion(1, 1)]


def test_without_credit_there_is_no_batch(made: Fixture) -> None:
    made.client.credits = 0
    assert not made.begin()
    made.batches.deliver(made.recorder, None)
    assert made.recorder.taken == made.recorder.discarded == 0


def test_a_batch_is_full_at_its_steps_or_after_its_time(made: Fixture) -> None:
    made.client.fragment_steps, made.client.fragment_s = 10, 2.0
    assert not made.batches.is_full(100), "no batch is open"
    made.begin()
    assert [made.batches.is_full(steps) for steps in (0, 9, 10)] == [False, False, True]
    made.now_s = 2.0
    assert [made.batches.is_full(steps) for steps in (0, 1)] == [False, True]


def test_a_batch_ends_before_its_payload_is_larger_than_the_broker_takes(made: Fixture) -> None:
    made.client.max_payload_bytes = 200
    assert made.begin()
    steps = next(steps for steps in range(1, 20) if made.batches.is_full(steps))
    assert 1 < steps < made.client.fragment_steps
    made.client.max_payload_bytes = 10
    made.batches.deliver(made.recorder, None)
    assert made.begin()
    assert made.batches.is_full(1), "a batch has at least one step"


def test_new_weights_end_only_an_on_policy_batch(made: Fixture) -> None:
    made.client.publish(1, OffPolicyFlow(sample_env_steps=10))
    made.begin()
    made.client.publish(2)
    assert made.batches.is_outdated
    assert not made.batches.is_full(1)
    made.client.publish(3, OnPolicyFlow(train_batch_env_steps=100))
    made.begin()
    assert not made.batches.is_full(1)
    made.client.publish(4)
    assert made.batches.is_full(1)


def test_stale_batches_are_discarded_but_never_two_in_a_row(made: Fixture) -> None:
    made.client.outdated_below = PolicyVersion(1, 2)
    for _ in range(4):
        made.begin()
        made.batches.deliver(made.recorder, None)
    assert (made.recorder.discarded, made.recorder.taken) == (2, 2)
    assert made.client.unrecorded == 10
    made.client.publish(2)
    made.begin()
    made.batches.deliver(made.recorder, None)
    assert made.recorder.taken == 3


def test_the_policy_that_acted_may_be_an_earlier_one(made: Fixture) -> None:
    made.begin()
    acted = made.client.policy_update()
    made.client.publish(2)
    made.client.outdated_below = PolicyVersion(1, 2)
    made.begin()
    made.batches.deliver(made.recorder, None, acted)
    assert made.recorder.discarded == 1
    made.begin()
    made.batches.deliver(made.recorder, None, acted)
    assert made.client.pushed[0].version == PolicyVersion(1, 1)


def test_an_empty_batch_is_not_pushed(made: Fixture) -> None:
    made.begin()
    made.recorder.env_steps = 0
    made.batches.deliver(made.recorder, None)
    assert made.client.pushed == []
    assert not made.batches.is_open


def test_an_unusable_policy_is_logged_once_and_the_next_one_awaited(
    made: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    made.client.unusable = {PolicyVersion(1, 1)}
    with caplog.at_level(logging.ERROR, "headrace.actor"):
        assert not made.begin()
        assert not made.batches.wait_for_policy(made.use, 0.0)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "cannot act with policy version 1.1"
    ] * 2
    made.client.publish(2)
    assert made.batches.wait_for_policy(made.use, 0.0)
    assert made.begin()
    assert made.used == [PolicyVersion(1, 2)] * 2


def test_a_policy_can_be_awaited_without_a_batch(made: Fixture) -> None:
    made.client.credits = 0
    assert made.batches.wait_for_policy(made.use, 0.0)
    assert not made.batches.is_open
    made.client.lose_policy()
    assert not made.batches.wait_for_policy(made.use, 0.0)
