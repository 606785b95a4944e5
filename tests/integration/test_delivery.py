"""Client, broker and learner over real sockets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from support.examples import WEIGHTS, make_batch, make_manifest
from support.machine import scaled
from support.running import (
    DEADLINE_S,
    BrokerThread,
    Context,
    Learner,
    connect,
    first_policy,
    push,
    wait_until,
)

from headrace.actors.connection.client import Client
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.link import LearnerStopping
from headrace.learner.connection.probe import require_welcome
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.errors import ConfigError, LocalProtocolError, RefusedError, RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Ledger
from headrace.protocol.trajectory import unpack_batch


def wait_for_version(client: Client, version: PolicyVersion) -> None:
    wait_until(lambda: client.newest_version == version)


def test_the_learner_takes_exactly_what_a_simulator_pushed(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        rewards = np.arange(5, dtype=np.float32)
        push(client, update, rewards=rewards)
        [batch] = learner.take(5)
        [part] = unpack_batch(batch.payload).modules.values()
        np.testing.assert_array_equal(part.columns["rewards"], rewards)
        learner.confirm()
        wait_until(lambda: broker.status.ledger == Ledger(produced=1, consumed=1))
        wait_until(lambda: client.unaccepted == 0)


def test_new_weights_reach_the_client(broker: BrokerThread, context: Context) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        first_policy(client)
        learner.publish(2)
        wait_for_version(client, PolicyVersion(1, 2))
        update = first_policy(client)
        np.testing.assert_array_equal(
            update.weights["default_policy"]["w"], WEIGHTS["default_policy"]["w"] * 2
        )


def test_a_late_actor_has_the_newest_weights_within_a_second(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "early") as early:
        for number in range(1, 6):
            learner.publish(number)
            wait_for_version(early, PolicyVersion(1, number))
        started_s = time.monotonic()
        with connect(broker, context, "late") as late:
            wait_until(late.may_begin)
            assert late.newest_version == PolicyVersion(1, 5)
            assert time.monotonic() - started_s < scaled(1.0)


def test_two_hundred_clients_that_join_at_once_get_two_hundred_snapshots(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    broker = start_broker(snapshot_repeat_s=1000.0)
    with Learner(context, broker.address) as learner:
        learner.publish(1)
        wait_until(lambda: broker.status.version is not None)
        clients = [
            connect(broker, context, f"actor-{index}", presence_s=1.0) for index in range(200)
        ]
        try:
            wait_until(lambda: all(client.newest_version for client in clients))
            wait_until(lambda: len(broker.status.actors) == 200)
            assert broker.status.snapshots_sent == 200
        finally:
            for client in clients:
                client.close()


def test_client_and_learner_wait_for_a_broker_that_starts_later(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    first = start_broker()
    first.stop()
    with connect(first, context, "a") as client, Learner(context, first.address) as learner:
        learner.publish(1)
        assert client.policy_update(timeout_s=0.2) is None
        assert client.begin(timeout_s=0.1) is None
        start_broker(first.address)
        push(client, first_policy(client))
        assert len(learner.take(5)) == 1


def test_a_restarted_broker_loses_and_repeats_nothing(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    broker = start_broker()
    with connect(broker, context, "a") as client, Learner(context, broker.address) as learner:
        learner.publish(1)
        for _ in range(5):
            push(client, first_policy(client))
            push(client, first_policy(client))
            learner.take(5)
            broker.stop()
            broker = start_broker(broker.address, reclaim_s=0.2)
        while len(learner.taken) < 10:
            assert learner.take(5)
        assert learner.seqs == [("a", seq) for seq in range(1, 11)]
        learner.confirm()
        wait_until(lambda: broker.status.ledger.consumed == 10)
        assert broker.status.ledger == Ledger(produced=10, consumed=10)


def test_a_restarted_broker_keeps_the_versions_of_a_running_learner(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    broker = start_broker()
    with connect(broker, context, "a") as client, Learner(context, broker.address) as learner:
        learner.publish(7)
        first_policy(client)
        broker.stop()
        broker = start_broker(broker.address)
        learner.publish(8)
        wait_for_version(client, PolicyVersion(1, 8))


def test_a_new_learner_at_a_restarted_broker_publishes_above_what_actors_know(
    start_broker: Callable[..., BrokerThread], context: Context
) -> None:
    broker = start_broker()
    with connect(broker, context, "a") as client:
        with Learner(context, broker.address) as learner:
            learner.publish(7)
            first_policy(client)
        broker.stop()
        broker = start_broker(broker.address)
        with Learner(context, broker.address, learner_run="run-2") as learner:
            learner.publish(1)
            wait_for_version(client, PolicyVersion(2, 1))


def test_a_resumed_learner_continues_in_a_new_epoch_with_the_same_actors(
    broker: BrokerThread, context: Context
) -> None:
    with connect(broker, context, "a") as client:
        with Learner(context, broker.address) as learner:
            learner.publish(9)
            first_policy(client)
        wait_until(lambda: broker.status.learners == [])
        with Learner(context, broker.address, learner_run="run-2") as learner:
            learner.publish(4)
            wait_for_version(client, PolicyVersion(2, 4))


def test_a_second_learner_is_refused(broker: BrokerThread, context: Context) -> None:
    with Learner(context, broker.address) as first:
        first.publish(1)
        wait_until(lambda: broker.status.version is not None)
        with Learner(context, broker.address, learner_run="run-2") as second:
            with pytest.raises(RefusedError) as caught:
                second.take(5)
            assert caught.value.code is RejectCode.LEARNER_EXISTS


def test_a_learner_that_would_be_refused_is_told_so_before_it_joins(
    broker: BrokerThread, context: Context
) -> None:
    asking = LearnerIdentity("run-2", 0, "cart-pole", "host")
    require_welcome([BrokerTarget(broker.address)], asking, context)
    assert broker.status.learners == []
    with Learner(context, broker.address) as first:
        first.publish(1)
        wait_until(lambda: broker.status.version is not None)
        with pytest.raises(RefusedError, match="already trains run") as caught:
            require_welcome([BrokerTarget(broker.address)], asking, context)
        assert caught.value.code is RejectCode.LEARNER_EXISTS
        closing = threading.Timer(1.5, first.link.close)
        closing.start()
        require_welcome([BrokerTarget(broker.address)], asking, context, attempts=60)
        closing.join()


def test_a_rejected_batch_is_logged_with_its_reason_and_blocks_nothing(
    broker: BrokerThread, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        with caplog.at_level(logging.WARNING, "headrace.actor"):
            push(client, update, rewards=np.full(5, np.nan, np.float32))
            push(client, update)
            [batch] = learner.take(5)
            assert batch.lease.seq == 2
            wait_until(lambda: "rewards" in caplog.text)
        assert "batch 1 was rejected (invalid_batch)" in caplog.text


def test_a_superseded_client_raises(broker: BrokerThread, context: Context) -> None:
    with connect(broker, context, "a") as first:
        wait_until(lambda: len(broker.status.actors) == 1)
        with connect(broker, context, "a"):
            with pytest.raises(RefusedError) as caught:
                first.begin(5.0)
            assert caught.value.code is RejectCode.SUPERSEDED
            with pytest.raises(RefusedError):
                first.may_begin()


def test_a_batch_needs_credit(broker: BrokerThread, context: Context) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        wait_until(client.may_begin)
        with pytest.raises(LocalProtocolError, match="credit"):  # noqa: PT012 - one of them
            for _ in range(2000):
                client.push(make_batch(), update, 5)


def test_unrecorded_steps_are_shown(broker: BrokerThread, context: Context) -> None:
    with connect(broker, context, "a") as client:
        client.count_unrecorded(30)
        wait_until(lambda: [a.unrecorded_env_steps for a in broker.status.actors] == [30])


def test_a_client_that_closes_has_delivered_and_says_goodbye(
    broker: BrokerThread, context: Context
) -> None:
    with Learner(context, broker.address) as learner:
        learner.publish(1)
        client = connect(broker, context, "a")
        update = first_policy(client)
        push(client, update)
        client.close()
        client.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            client.push(make_batch(), update, 5)
        wait_until(lambda: broker.status.actors == [])
        assert broker.status.ledger == Ledger(produced=1, held=1)


def test_an_interrupted_learner_stops_waiting(broker: BrokerThread, context: Context) -> None:
    with Learner(context, broker.address) as learner:
        learner.link.interrupt()
        with pytest.raises(LearnerStopping):
            learner.take(5)


@pytest.mark.parametrize("actor", ["my actor", "", "schön", "a" * 129])
def test_an_invalid_actor_id_is_refused_at_once(
    broker: BrokerThread, context: Context, actor: str
) -> None:
    with pytest.raises(ConfigError, match="actor id"):
        Client(broker.address, actor=actor or " ", context=context)


def test_a_batch_carries_the_run_it_was_recorded_under(
    broker: BrokerThread, context: Context
) -> None:
    with connect(broker, context, "a") as client:
        with Learner(context, broker.address) as learner:
            learner.publish(1)
            old = first_policy(client)
            assert client.begin(DEADLINE_S)
        wait_until(lambda: broker.status.learners == [])
        with Learner(context, broker.address, learner_run="run-2", run="run-b") as learner:
            learner.publish(1, make_manifest(run="run-b"))
            wait_until(lambda: broker.status.run == "run-b")
            wait_for_version(client, PolicyVersion(2, 1))
            client.push(make_batch(), old, env_steps=5)
            wait_until(lambda: broker.status.rejects == {"wrong_run": 1})
