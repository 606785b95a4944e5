from __future__ import annotations

import pytest
from support.conversation import FakeFleet, offered
from support.examples import make_weights_frame

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    EvaluationRequest,
    EvaluationTask,
    FleetReport,
    Lease,
    Ledger,
    Offer,
    Publish,
    Pull,
    Want,
)

VERSION = PolicyVersion(1, 1)


@pytest.fixture
def fleet() -> FakeFleet:
    fleet = FakeFleet(Router(RouterConfig(), incarnation=77, now_s=0.0))
    fleet.publish()
    fleet.open(session=2, purpose="evaluate")
    fleet.join("a", evaluates=True)
    return fleet


def ask(fleet: FakeFleet, episodes: int = 1, confirmed: int = 0) -> None:
    request = EvaluationRequest("task", episodes, VERSION)
    fleet.learner(Pull(session=2, lease_up_to_steps=0, confirmed=confirmed, evaluation=request))


def evaluate(fleet: FakeFleet, seq: int) -> None:
    fleet.push("a", seq, purpose="evaluate", task="task")


def ledger(fleet: FakeFleet) -> Ledger:
    return fleet.router.status(fleet.now_s).ledger


def test_an_actor_gets_the_task_and_its_episode_goes_to_the_requesting_session(
    fleet: FakeFleet,
) -> None:
    ask(fleet)
    assert fleet.delivery("a").task == EvaluationTask("task", 1, VERSION)
    assert fleet.last(FleetReport).evaluators == 1
    evaluate(fleet, 1)
    [lease] = fleet.leases(session=2)
    assert (lease.purpose, lease.task, lease.number) == ("evaluate", "task", 1)
    assert fleet.delivery("a").task is None
    ask(fleet, confirmed=1)
    assert ledger(fleet) == Ledger(produced=1, consumed=1)


def test_training_and_evaluation_sessions_are_leased_only_their_own_batches(
    fleet: FakeFleet,
) -> None:
    ask(fleet)
    evaluate(fleet, 1)
    fleet.push("a", 2)
    assert [lease.seq for lease in fleet.pull(100)] == [2]
    assert [lease.seq for lease in fleet.leases(session=2)] == [1]


def test_an_unrequested_evaluation_is_dropped(fleet: FakeFleet) -> None:
    evaluate(fleet, 1)
    assert ledger(fleet) == Ledger(produced=1, dropped=1)


def test_evaluations_that_an_ended_session_did_not_confirm_are_dropped(fleet: FakeFleet) -> None:
    ask(fleet, episodes=2)
    evaluate(fleet, 1)
    fleet.leave(session=2)
    assert ledger(fleet) == Ledger(produced=1, dropped=1)
    assert fleet.delivery("a").task is None


def test_an_actor_that_does_not_evaluate_gets_no_task(fleet: FakeFleet) -> None:
    fleet.goodbye("a")
    fleet.join("b")
    ask(fleet)
    assert fleet.delivery("b").task is None
    assert fleet.last(FleetReport).evaluators == 0
    assert not fleet.all(Lease)


def test_an_evaluators_weights_are_published_under_the_training_policy(
    fleet: FakeFleet,
) -> None:
    fields = offered(2, digest="0" * 32)
    fleet.learner(Offer(session=2, **fields))
    assert fleet.last(Want) == Want(session=2, number=2, weights=True, policy=False)
    fleet.learner(Publish(session=2, **fields), b"", make_weights_frame())
    assert fleet.router.status(0.0).version == "1.2"
    assert len(fleet.snapshots("a")) == 1
