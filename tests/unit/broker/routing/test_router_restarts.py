"""A new broker resumes from what actors and learners report."""

from __future__ import annotations

from support.conversation import FakeFleet, ledger, mark

from headrace.protocol.messages import HeldBatch, Ledger, Totals


def test_a_new_broker_resumes_from_the_counts_of_actor_and_learner(fleet: FakeFleet) -> None:
    fleet.open(marks=(mark("a", 5),))
    fleet.publish()
    fleet.join("a", last_seq=7, acknowledged=3, totals=Totals(consumed=3))
    delivery = fleet.delivery("a")
    assert (delivery.accepted, delivery.acknowledged) == (5, 5)
    assert delivery.credit is not None
    assert delivery.credit.up_to >= 7
    assert ledger(fleet) == Ledger(produced=7, consumed=5, held=2)


def test_a_new_broker_accepts_again_only_the_batch_that_no_learner_confirmed(
    fleet: FakeFleet,
) -> None:
    fleet.open(session=1, marks=(mark("a", 1, confirmed=(2, 4)),))
    fleet.publish()
    fleet.join("a", last_seq=4, acknowledged=1, totals=Totals(consumed=1))
    assert fleet.delivery("a").accepted == 2
    fleet.push("a", 3, sent_before=True)
    assert fleet.delivery("a").accepted == 4
    fleet.pass_time(1.1)
    assert [lease.seq for lease in fleet.pull(100)] == [3]
    fleet.pull(100, confirmed=1)
    assert ledger(fleet) == Ledger(produced=4, consumed=4)


def test_a_batch_that_a_learner_holds_is_not_leased_again_by_a_new_broker(fleet: FakeFleet) -> None:
    held = (HeldBatch(0, 1), HeldBatch(0, 2))
    fleet.open(marks=(mark("a", 0),), held=held)
    fleet.publish()
    fleet.join("a", last_seq=3)
    for seq in (1, 2, 3):
        fleet.push("a", seq, sent_before=seq < 3)
    assert [(lease.number, lease.seq) for lease in fleet.pull(100)] == [(3, 3)]
    fleet.pull(100, confirmed=2)
    assert ledger(fleet) == Ledger(produced=3, consumed=2, held=1)


def test_a_batch_confirmed_before_it_reaches_a_new_broker_has_ended(
    fleet: FakeFleet,
) -> None:
    fleet.open(marks=(mark("a", 0),), held=(HeldBatch(0, 1),))
    fleet.publish()
    fleet.pull(100, confirmed=1)
    fleet.join("a", last_seq=1)
    assert fleet.delivery("a").acknowledged == 1


def test_a_batch_held_by_an_ended_session_is_a_second_attempt(fleet: FakeFleet) -> None:
    fleet.open(marks=(mark("a", 0),), held=(HeldBatch(0, 1),))
    fleet.publish()
    fleet.open(session=2)
    fleet.join("a", last_seq=1)
    fleet.push("a", 1)
    assert [lease.attempt for lease in fleet.pull(100, session=2)] == [2]


def test_a_new_broker_stops_waiting_once_all_sessions_are_back(fleet: FakeFleet) -> None:
    fleet.publish(former=8, sessions=2)
    fleet.join("a", last_seq=1)
    fleet.push("a", 1, sent_before=True)
    assert fleet.pull(100) == []
    fleet.open(session=2, worker_index=1, former=9, sessions=2)
    assert [lease.attempt for lease in fleet.leases()] == [1]


def test_a_batch_that_a_missing_session_may_hold_is_a_second_attempt(fleet: FakeFleet) -> None:
    fleet.publish(former=8, sessions=2)
    fleet.open(session=2, worker_index=1)
    fleet.join("a", last_seq=1)
    for seq in (1, 2):
        fleet.push("a", seq, sent_before=True)
    assert fleet.pull(100) == []
    fleet.pass_time(1.1)
    attempts = [(lease.seq, lease.attempt) for lease in fleet.leases()]
    assert attempts == [(1, 2), (2, 1)], "the actor finished the second one after its hello"


def test_marks_that_arrive_after_the_actor_end_its_resent_batches(fleet: FakeFleet) -> None:
    fleet.publish()
    fleet.join("a", last_seq=2)
    fleet.push("a", 1, sent_before=True)
    fleet.push("a", 2, sent_before=True)
    fleet.open(session=2, marks=(mark("a", 1),))
    assert fleet.delivery("a").acknowledged == 1
    assert fleet.pull(100, session=2) == []  # held back: another session may have it
    fleet.pass_time(1.1)
    assert [lease.seq for lease in fleet.leases(session=2)] == [2]


def test_an_alive_may_report_more_than_the_hello_that_a_new_broker_read(
    running: FakeFleet,
) -> None:
    running.push("a", 1)
    running.alive("a", last_seq=4, acknowledged=3, totals=Totals(consumed=2, stale=1))
    assert running.delivery("a").accepted == 3
    assert running.router.status(0.0).queue_batches == 0
    assert ledger(running) == Ledger(produced=4, consumed=2, stale=1, held=1)


def test_a_learners_mark_restores_an_actors_credit(fleet: FakeFleet) -> None:
    fleet.publish()
    fleet.join("a", last_seq=10, acknowledged=6, totals=Totals(consumed=6))
    fleet.open(session=2, worker_index=1, marks=(mark("a", 10),))
    credit = fleet.delivery("a").credit
    assert credit is not None
    assert credit.up_to == 14
