"""The router's answers to learners."""

from __future__ import annotations

from support.conversation import FakeFleet, ledger, mark
from support.examples import (
    make_manifest,
    make_payload,
)
from support.statuses import actors_of

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    FleetReport,
    HeldBatch,
    LearnerProgress,
    Ledger,
    Pull,
    Refusal,
    Totals,
    Welcome,
)


def test_a_repeated_hello_of_a_session_keeps_its_leases(running: FakeFleet) -> None:
    running.push("a", 1)
    running.pull(100)
    running.open(session=1)
    assert running.router.status(0.0).learners[0].unconfirmed == 1


def test_batches_are_leased_up_to_the_learners_limit(running: FakeFleet) -> None:
    for seq in (1, 2, 3):
        running.push("a", seq)
    assert [lease.seq for lease in running.pull(6)] == [1, 2]
    assert [lease.seq for lease in running.pull(11)] == [3]


def test_a_pull_also_leases_batches_that_would_be_stale_by_the_next_one(
    running: FakeFleet,
) -> None:
    for seq in (1, 2, 3):
        running.push("a", seq)
    running.publish(2)
    running.push("a", 4)
    assert [lease.seq for lease in running.pull(6)] == [1, 2, 3]
    running.push("a", 5)
    assert running.pull(6) == []


def test_payloads_are_passed_on_unchanged(running: FakeFleet) -> None:
    running.push("a", 1)
    running.pull(5)
    assert running.sent[-1].payloads == (make_payload(),)


def test_a_confirmed_batch_is_consumed(running: FakeFleet) -> None:
    running.push("a", 1)
    running.push("a", 2)
    running.pull(10)
    running.pull(10, confirmed=1)
    assert running.delivery("a").totals == Totals(consumed=1)
    assert ledger(running) == Ledger(produced=2, consumed=1, held=1)
    assert running.last(FleetReport).ledger == ledger(running)


def test_batches_older_than_the_allowed_lag_are_stale(running: FakeFleet) -> None:
    running.push("a", 1)  # version 1
    running.publish(2)
    running.push("a", 2)
    running.publish(3)
    [lease] = running.pull(100)
    assert (lease.seq, lease.policy_lag) == (2, 1)
    assert running.delivery("a").totals == Totals(stale=1)
    assert ledger(running) == Ledger(produced=2, stale=1, held=1)


def test_without_a_limit_no_batch_is_stale() -> None:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    manifest = make_manifest(max_policy_lag=None)
    fleet.publish(manifest=manifest)
    fleet.join("a")
    fleet.push("a", 1)
    for number in range(2, 9):
        fleet.publish(number, manifest=manifest)
    assert fleet.pull(100)[0].policy_lag == 7


def test_one_stopping_session_is_reported_to_all(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    running.pull(5, session=2)
    assert not running.last(FleetReport).stopping
    running.learner(Pull(session=1, lease_up_to_steps=0, confirmed=0, stopping=True))
    running.pull(5, session=2)
    assert running.last(FleetReport).stopping


def test_a_second_learner_is_refused_while_the_first_lives(running: FakeFleet) -> None:
    running.open(session=2, learner_run="run-2")
    refusal = running.last(Refusal)
    assert refusal.code is RejectCode.LEARNER_EXISTS
    assert "takeover" in refusal.reason


def test_a_probe_is_answered_and_opens_no_session(fleet: FakeFleet) -> None:
    fleet.open(session=2, probe=True)
    assert fleet.last(Welcome).session == 2
    assert fleet.router.status(0.0).learners == []
    fleet.open(session=3)
    fleet.open(session=4, learner_run="run-2", probe=True)
    assert fleet.last(Refusal).code is RejectCode.LEARNER_EXISTS


def test_a_takeover_ends_the_first_learner(running: FakeFleet) -> None:
    running.open(session=2, learner_run="run-2", takeover=True)
    assert running.last(Welcome).epoch == 2
    running.pull(5, session=1)
    assert running.last(Refusal).code is RejectCode.UNKNOWN_SESSION


def test_batches_of_an_ended_session_return_to_their_places(running: FakeFleet) -> None:
    for seq in (1, 2):
        running.push("a", seq)
    running.pull(10)
    running.push("a", 3)
    running.leave()
    running.open(session=2)
    leases = running.pull(100, session=2)
    assert [(lease.seq, lease.attempt) for lease in leases] == [(1, 2), (2, 2), (3, 1)]


def test_a_silent_session_ends(running: FakeFleet) -> None:
    running.push("a", 1)
    running.pull(5)
    running.pass_time(11.0)
    status = running.router.status(running.now_s)
    assert (status.learners, status.queue_batches) == ([], 1)


def test_batches_in_a_returning_sessions_marks_are_not_leased_again(running: FakeFleet) -> None:
    for seq in (1, 2):
        running.push("a", seq)
    running.pull(10)
    running.open(session=2, marks=(mark("a", 1),))
    assert [lease.seq for lease in running.pull(100, session=2)] == [2]
    assert ledger(running) == Ledger(produced=2, consumed=1, held=1)


def test_a_lease_lost_in_transit_is_repeated_without_raising_its_attempt(
    running: FakeFleet,
) -> None:
    for seq in (1, 2, 3):
        running.push("a", seq)
    running.pull(15)
    marks, held = (mark("a", 0),), (HeldBatch(0, 1),)
    running.open(session=2, former=1, marks=marks, held=held)
    leases = running.pull(100, session=2)
    assert [(lease.number, lease.seq, lease.attempt) for lease in leases] == [(2, 2, 1), (3, 3, 1)]
    running.pull(100, session=2, confirmed=1)
    assert ledger(running) == Ledger(produced=3, consumed=1, held=2)
    running.pull(100, session=2, confirmed=3)
    assert ledger(running) == Ledger(produced=3, consumed=3)


def test_held_batches_return_to_the_queue_when_their_process_ends(running: FakeFleet) -> None:
    running.push("a", 1)
    running.pull(15)
    running.open(session=2, former=1, marks=(mark("a", 0),), held=(HeldBatch(0, 1),))
    running.open(session=3)
    [lease] = running.pull(100, session=3)
    assert (lease.seq, lease.attempt) == (1, 2)


def test_a_held_batch_without_a_mark_is_refused(running: FakeFleet) -> None:
    running.open(session=2, held=(HeldBatch(0, 1),))
    assert running.last(Refusal).code is RejectCode.MALFORMED


def test_a_lease_reports_the_ended_batches(running: FakeFleet) -> None:
    for seq in (1, 2):
        running.push("a", seq)
    running.pull(5)
    [lease] = running.pull(10, confirmed=1)
    assert (lease.seq, lease.ended) == (2, 1)


def test_a_batch_that_three_sessions_did_not_survive_is_poison(running: FakeFleet) -> None:
    running.push("a", 1)
    for session in (2, 3, 4):
        running.open(session=session)
        assert len(running.pull(5, session=session)) == 1
    running.open(session=5)
    assert running.pull(5, session=5) == []
    assert running.rejects("a")[-1].code is RejectCode.POISON
    [letter] = running.dead_letters
    assert (letter.batch.actor, letter.batch.seq) == ("a", 1)
    assert bytes(letter.payload) == make_payload()
    assert ledger(running) == Ledger(produced=1, rejected=1)


def test_all_batches_of_an_actor_go_to_one_session_in_order(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    for name in "bcdefgh":
        running.join(name)
    for session in (1, 2):
        running.pull(1000, session=session)
    for seq in (1, 2, 3):
        for name in "abcdefgh":
            running.push(name, seq)
    taken: dict[str, set[int]] = {}
    for session in (1, 2):
        leases = running.leases(session)
        for name in {lease.actor for lease in leases}:
            assert [lease.seq for lease in leases if lease.actor == name] == [1, 2, 3]
            taken.setdefault(name, set()).add(session)
    assert all(len(sessions) == 1 for sessions in taken.values())
    assert set().union(*taken.values()) == {1, 2}


def test_a_learners_progress_is_in_the_status(running: FakeFleet) -> None:
    progress = LearnerProgress(4000, 1, 23.5)
    running.learner(Pull(session=1, lease_up_to_steps=0, confirmed=0, progress=progress))
    assert running.router.status(0.0).learners[0].progress == progress


def test_malformed_learner_messages_are_counted(running: FakeFleet) -> None:
    running.router.on_learner([b"x", b"\xc1"], 0.0)
    running.router.on_learner([b"x"], 0.0)
    assert running.router.status(0.0).rejects == {"malformed": 2}


def test_an_actor_whose_batches_are_all_stale_gets_advice(running: FakeFleet) -> None:
    for seq in range(1, 11):
        running.push("a", seq, version=PolicyVersion(0, 0))
    running.pull(100)
    [actor] = actors_of(running.router, 0.0)
    assert (actor.stale, "too slow" in actor.advice) == (10, True)


def test_a_session_that_does_not_pull_is_leased_nothing(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    for seq in (1, 2, 3):
        running.push("a", seq)
    assert len(running.pull(100, session=2)) == 3


def test_a_report_names_the_newest_lease_so_that_a_lost_one_is_noticed(running: FakeFleet) -> None:
    running.push("a", 1)
    running.pull(5)
    running.pull(5)
    assert running.last(FleetReport).last_lease == 1


def test_a_session_that_never_returned_is_counted_for_the_next_broker() -> None:
    """It may have trained on batches that actors will send again."""
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.open(session=2, former=1, sessions=2)
    fleet.open(session=3, worker_index=1)  # a new process in the place of the one that died
    assert fleet.last(FleetReport).sessions == 3
    again = FakeFleet(Router(RouterConfig(), 2, 0.0))
    again.join("a", last_seq=1)
    again.publish(session=4, former=2, sessions=3)
    again.open(session=5, worker_index=1, former=3, sessions=3)
    again.push("a", 1, sent_before=True)
    assert again.pull(100, session=4) == []
    again.now_s = 4.0
    [lease] = again.pull(100, session=4)
    assert lease.attempt == 2
    again.now_s = 61.0
    again.pull(100, session=4)
    assert again.last(FleetReport).sessions == 2


def test_a_mark_is_capped_at_what_its_actor_produced(running: FakeFleet) -> None:
    running.push("a", 1)
    running.open(session=2, marks=(mark("a", 2**40),))
    assert ledger(running) == Ledger(produced=1, consumed=1)


def test_what_was_asked_of_one_of_several_brokers_may_be_withdrawn(running: FakeFleet) -> None:
    running.pull(100, share=0.5)
    running.push("a", 1)
    assert len(running.leases()) == 1
    running.pull(5, share=0.5)
    running.push("a", 2)
    assert len(running.leases()) == 1


def test_the_only_broker_ignores_a_lower_limit(running: FakeFleet) -> None:
    running.pull(100)
    running.pull(0)
    running.push("a", 1)
    assert len(running.leases()) == 1


def test_no_credit_is_granted_without_a_share(fleet: FakeFleet) -> None:
    fleet.publish()
    fleet.pull(0, share=0.0)
    fleet.join("a")
    assert fleet.router.status(0.0).reserved_env_steps == 0
    fleet.pull(0, share=1.0)
    assert fleet.router.status(0.0).reserved_env_steps > 0


def test_a_share_stays_when_its_learner_is_cut_off(fleet: FakeFleet) -> None:
    fleet.publish()
    fleet.pull(0, share=0.0)
    fleet.leave()
    fleet.join("a")
    assert fleet.router.status(0.0).reserved_env_steps == 0
    fleet.open(session=2, learner_run="run-2")
    fleet.pull(0, session=2)
    assert fleet.router.status(0.0).reserved_env_steps > 0
