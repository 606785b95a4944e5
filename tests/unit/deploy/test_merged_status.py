"""The status of several brokers as one."""

from __future__ import annotations

import msgspec
from support.statuses import make_actor, make_status

from headrace.broker.routing.status import BrokerStatus
from headrace.deploy.merged_status import BrokerPart, merged_status
from headrace.protocol.messages import LearnerProgress


def merged(*statuses: BrokerStatus | None) -> BrokerStatus:
    return merged_status(
        [BrokerPart(str(n), f"host:{n}", status) for n, status in enumerate(statuses, start=1)]
    )


def test_books_and_queues_add_up() -> None:
    one, other = make_status([make_actor(0)]), make_status([make_actor(1)])
    both = merged(one, other)
    assert both.ledger.produced == one.ledger.produced + other.ledger.produced
    assert both.queue_env_steps == one.queue_env_steps + other.queue_env_steps
    assert both.traffic.accepted_bytes == 2 * one.traffic.accepted_bytes


def test_actors_name_their_broker() -> None:
    both = merged(make_status([make_actor(0)]), None, make_status([make_actor(1)]))
    assert [(actor.actor, actor.broker) for actor in both.actors] == [
        ("walker-0", "1"),
        ("walker-1", "3"),
    ]


def test_a_runner_with_a_session_at_each_broker_is_shown_once() -> None:
    one, other = make_status([]), make_status([])
    late = msgspec.structs.replace(
        one.learners[0], progress=LearnerProgress(1, 199, None), silent_s=0.1
    )
    other = msgspec.structs.replace(other, learners=[late])
    [learner] = merged(one, other).learners
    assert learner.progress is not None
    assert learner.progress.iteration == 199
    assert learner.leased_env_steps == 2 * late.leased_env_steps
    assert learner.silent_s == 0.1


def test_the_newest_version_of_any_broker_is_shown() -> None:
    statuses = [make_status([], version=version) for version in ("1.9", "1.10", None)]
    assert merged(*statuses).version == "1.10"


def test_rejects_are_added_by_code() -> None:
    both = merged(
        make_status([], rejects={"malformed": 2}),
        make_status([], rejects={"malformed": 1, "too_much": 4}),
    )
    assert both.rejects == {"malformed": 3, "too_much": 4}


def test_a_broker_without_a_policy_adds_nothing() -> None:
    empty = make_status([], run=None, version=None, fragment_steps=None, fragment_s=None)
    both = merged(empty, make_status([make_actor(0)], fragment_steps=50))
    assert (both.run, both.version, both.fragment_steps) == ("walker-ppo", "1.184", 50)
    assert merged(empty, empty).fragment_steps is None
