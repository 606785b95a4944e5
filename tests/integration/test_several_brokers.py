"""One learner and several brokers, over real sockets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from support.examples import RUN, make_batch, make_manifest, make_policy_frame, make_weights_frame
from support.machine import scaled
from support.running import (
    DEADLINE_S,
    BrokerThread,
    Context,
    connect,
    first_policy,
    in_thread,
    push,
    wait_until,
)

from headrace.actors.connection.client import Client
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink, LearnerStopping
from headrace.learner.connection.probe import require_welcome
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.broker_choice import choose_broker
from headrace.protocol.errors import ConfigError, RefusedError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Assignment

IDENTITY = LearnerIdentity("run-1", 0, RUN, "test")


@pytest.fixture
def brokers(start_broker: Any) -> list[BrokerThread]:
    return [start_broker() for _ in range(2)]


@pytest.fixture
def link(brokers: list[BrokerThread], context: Context) -> Iterator[BrokerLink]:
    with closing(BrokerLink(targets(brokers), IDENTITY, context)) as made:
        yield made


def targets(brokers: Sequence[BrokerThread]) -> list[BrokerTarget]:
    return [BrokerTarget(broker.address) for broker in brokers]


def publish(link: BrokerLink, number: int) -> None:
    frame, digest = make_policy_frame(make_manifest(batch=100))
    weights = make_weights_frame(float(number))
    link.offer(OfferedWeights(number, f"{number:08x}", digest, frame, weights))


class Pushing:
    """An actor that pushes as many batches as it is granted credit for."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.versions: list[PolicyVersion] = []

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            permit = self.client.begin(0.1)
            if permit is not None:
                self.versions.append(permit.update.version)
                push(self.client, permit.update)


def actors_of(batches: Sequence[LeasedBatch]) -> set[str]:
    return {batch.lease.actor for batch in batches}


def fleet(stack: ExitStack, brokers: Sequence[BrokerThread], context: Context) -> list[Pushing]:
    """Starts an actor at each broker."""
    started = []
    for number, broker in enumerate(brokers):
        client = stack.enter_context(connect(broker, context, f"a{number}"))
        pushing = Pushing(client)
        stack.enter_context(in_thread(pushing.run))
        started.append(pushing)
    return started


def train(link: BrokerLink, updates: Sequence[int], steps: int = 100) -> list[LeasedBatch]:
    taken: list[LeasedBatch] = []
    for number in updates:
        taken += link.take(steps, DEADLINE_S)
        link.confirm(taken[-1])
        publish(link, number)
    return taken


def test_a_learner_trains_on_the_batches_of_all_brokers(
    brokers: list[BrokerThread], link: BrokerLink, context: Context
) -> None:
    publish(link, 1)
    with ExitStack() as stack:
        fleet(stack, brokers, context)
        taken = train(link, range(2, 8))
        assert actors_of(taken) == {"a0", "a1"}
        wait_until(lambda: all(broker.status.version == "1.7" for broker in brokers))
        report = link.fresh_report(DEADLINE_S)
        assert report is not None
        assert report.actors == 2
        ledgers = [broker.status.ledger for broker in brokers]
        assert sum(ledger.consumed for ledger in ledgers) >= len(taken)


def test_training_goes_on_while_a_broker_is_down_and_takes_it_in_again(
    broker: BrokerThread,
    context: Context,
    start_broker: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "headrace.learner")
    with ExitStack() as stack:
        with BrokerThread("tcp://127.0.0.1:0") as mortal:
            brokers = [broker, mortal]
            link = stack.enter_context(closing(BrokerLink(targets(brokers), IDENTITY, context)))
            publish(link, 1)
            started = fleet(stack, brokers, context)
            train(link, range(2, 5))
        taken = train(link, range(5, 9))
        assert "a0" in actors_of(taken)
        wait_until(lambda: "is silent: the others take its share" in caplog.text, 30)
        start_broker(mortal.address)
        wait_until(lambda: caplog.text.count("takes part") == 3, 30)
        number, back = 9, set[str]()
        while "a1" not in back:
            back |= actors_of(train(link, [number]))
            number += 1
            assert number < 60
        for pushing in started:
            assert pushing.versions == sorted(pushing.versions)


def test_a_learner_begins_with_the_brokers_that_run_and_names_the_others(
    broker: BrokerThread, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    absent = BrokerTarget("tcp://127.0.0.1:1")
    with closing(BrokerLink([absent, *targets([broker])], IDENTITY, context)) as link:
        publish(link, 1)
        with ExitStack() as stack:
            fleet(stack, [broker], context)
            assert actors_of(train(link, [2])) == {"a0"}
        assert link.take(10_000, 5.0)
    assert "waiting for a broker at tcp://127.0.0.1:1" in caplog.text


def test_each_episode_of_an_evaluation_is_run_once_over_all_brokers(
    brokers: list[BrokerThread], link: BrokerLink, context: Context
) -> None:
    publish(link, 1)
    with ExitStack() as stack:
        for number, broker in enumerate(brokers):
            client = stack.enter_context(connect(broker, context, f"a{number}"))
            first_policy(client)
            stack.enter_context(in_thread(partial(act, client)))
        wait_until(lambda: evaluators(link) == 2)
        batches = link.evaluate(4)
        assert len(batches) == 4
        assert actors_of(batches) == {"a0", "a1"}


def evaluators(link: BrokerLink) -> int:
    report = link.fresh_report(DEADLINE_S)
    return report.evaluators if report is not None else 0


def act(client: Client, stop: threading.Event) -> None:
    """Offers evaluations, and pushes an episode for each one that is asked for."""
    client.offer_evaluation()
    while not stop.wait(0.01):
        permit = client.begin_evaluation()
        if permit is not None:
            client.push(
                make_batch([5]), permit.update, env_steps=5, task=permit.task, purpose="evaluate"
            )


def test_assignments_reach_the_actors_of_all_brokers(
    brokers: list[BrokerThread], link: BrokerLink, context: Context
) -> None:
    publish(link, 1)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(connect(broker, context, f"a{number}"))
            for number, broker in enumerate(brokers)
        ]
        for client in clients:
            first_policy(client)
        assigned = Assignment(number=3, task="level-3")
        link.assign(assigned)
        wait_until(lambda: all(client.assignment == assigned for client in clients))


def test_a_run_that_stops_at_one_broker_stops_for_all_its_runners(
    brokers: list[BrokerThread], link: BrokerLink, context: Context
) -> None:
    other = LearnerIdentity("run-1", 1, RUN, "test")
    with closing(BrokerLink(targets(brokers[:1]), other, context)) as runner:
        publish(link, 1)
        wait_until(lambda: len(brokers[0].status.learners) == 2)
        runner.announce_stop()
        with pytest.raises(LearnerStopping):
            link.take(10, scaled(30))


def test_a_broker_that_serves_another_learner_is_named_in_the_refusal(
    brokers: list[BrokerThread], context: Context
) -> None:
    another = LearnerIdentity("run-2", 0, RUN, "test")
    with closing(BrokerLink(targets(brokers[1:]), another, context)) as first:
        publish(first, 1)
        wait_until(lambda: brokers[1].status.version is not None)
        with pytest.raises(RefusedError, match=brokers[1].address):
            require_welcome(targets(brokers), IDENTITY, context)
        with (
            closing(BrokerLink(targets(brokers), IDENTITY, context)) as second,
            pytest.raises(RefusedError, match=brokers[1].address),
        ):
            second.take(10, DEADLINE_S)


def test_an_actor_of_several_brokers_uses_the_one_that_its_id_chooses(
    brokers: list[BrokerThread], context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headrace.actor")
    addresses = [broker.address for broker in brokers]
    for actor in ("walker-0", "walker-1", "walker-2"):
        with Client(addresses, actor=actor, context=context):
            chosen = brokers[addresses.index(choose_broker(addresses, actor))]
            wait_until(partial(has_actor, chosen, actor))
        assert f"actor {actor} uses the broker at {chosen.address}, of 2" in caplog.text


def has_actor(broker: BrokerThread, actor: str) -> bool:
    return actor in {one.actor for one in broker.status.actors}


@pytest.mark.parametrize("address", ["tcp://h:1,nonsense", ["tcp://h:1", "tcp://h:1"], []])
def test_a_list_with_a_wrong_address_is_refused_whichever_is_chosen(
    address: str | list[str], context: Context
) -> None:
    with pytest.raises(ConfigError):
        Client(address, context=context)
