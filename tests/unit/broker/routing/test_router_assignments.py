"""The broker's handling of a learner's assignments."""

from __future__ import annotations

from msgspec import UNSET
from support.conversation import FakeFleet

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.messages import Assignment, Pull


def make_fleet() -> FakeFleet:
    fleet = FakeFleet(Router(RouterConfig(), incarnation=77, now_s=0.0))
    fleet.publish()
    fleet.join("a")
    return fleet


def assign(fleet: FakeFleet, assignment: Assignment, session: int = 1) -> None:
    fleet.learner(Pull(session=session, lease_up_to_steps=0, confirmed=0, assignment=assignment))


def test_an_assignment_is_in_every_delivery_state_from_then_on() -> None:
    fleet = make_fleet()
    assert fleet.delivery("a").assignment is UNSET
    third = Assignment(3, "third", {"gravity": [9.0, 11.0]}, seed=4)
    assign(fleet, third)
    assert fleet.delivery("a").assignment == third
    fleet.push("a", 1)
    assert fleet.delivery("a").assignment == third
    fleet.join("b")
    assert fleet.delivery("b").assignment == third


def test_the_highest_number_among_a_learners_sessions_is_in_force() -> None:
    fleet = make_fleet()
    fleet.open(session=2, worker_index=1)
    assign(fleet, Assignment(3, "third"))
    assign(fleet, Assignment(2, "late"), session=2)
    assert fleet.delivery("a").assignment == Assignment(3, "third")
    assign(fleet, Assignment(4, "fourth"), session=2)
    assign(fleet, Assignment(3, "third"))
    assert fleet.delivery("a").assignment == Assignment(4, "fourth")
    assert fleet.router.status(0.0).task == "fourth"


def test_an_assignment_outlives_its_session_but_not_its_learner_run() -> None:
    fleet = make_fleet()
    assign(fleet, Assignment(3, "third"))
    fleet.leave()
    fleet.open(session=2)
    fleet.push("a", 1)
    assert fleet.delivery("a").assignment == Assignment(3, "third")
    fleet.leave(session=2)
    fleet.open(session=3, learner_run="run-2")
    fleet.pull(0, session=3)
    assert fleet.delivery("a").assignment is UNSET
    assign(fleet, Assignment(1, "first"), session=3)
    assert fleet.delivery("a").assignment == Assignment(1, "first")
