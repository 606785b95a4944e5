"""A batch that was begun without credit is not accepted until there is some."""

from __future__ import annotations

import pytest
from support.conversation import FakeFleet
from support.examples import RUN, make_payload

from headrace.broker.access.policing import PolicingLimits
from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Hello, Trajectories
from headrace.protocol.messages.headers import encode_header


@pytest.fixture
def fleet() -> FakeFleet:
    made = FakeFleet(Router(RouterConfig(policing=PolicingLimits(strikes=3)), 1, now_s=0.0))
    made.publish()
    return made


def credit_of(fleet: FakeFleet, actor: str) -> int:
    credit = fleet.delivery(actor).credit
    assert credit is not None
    return credit.up_to


def spend(fleet: FakeFleet, actor: str) -> int:
    """Pushes until there is no more credit; returns the last seq."""
    seq = 0
    while seq < credit_of(fleet, actor):
        seq += 1
        fleet.push(actor, seq, env_steps=5)
    return seq


def test_a_batch_begun_without_credit_is_accepted_once_there_is_some(
    fleet: FakeFleet,
) -> None:
    fleet.join("a")
    last = spend(fleet, "a")
    fleet.push("a", last + 1)
    assert fleet.delivery("a").accepted == last
    assert not fleet.delivery("a").accepts
    assert fleet.router.status(0.0).rejects == {"too_much": 1}
    fleet.pull(1000)
    fleet.publish(2)
    assert fleet.delivery("a").accepts
    assert fleet.delivery("a").gap
    fleet.push("a", last + 1, sent_before=True)
    assert fleet.delivery("a").accepted == last + 1


def test_a_young_broker_trusts_what_actors_report_having_begun(
    fleet: FakeFleet,
) -> None:
    fleet.join("early", last_seq=50)
    fleet.pass_time(61.0, step_s=1.0)
    fleet.join("late", last_seq=50)
    assert credit_of(fleet, "early") >= 50
    assert credit_of(fleet, "late") <= 4


def test_the_batch_in_progress_at_a_broker_restart_is_accepted(fleet: FakeFleet) -> None:
    for actor in range(100):
        fleet.join(f"a{actor}", last_seq=3)
    last = max(credit_of(fleet, "a99"), 3)
    fleet.push("a99", 1)
    for seq in range(2, last + 2):
        fleet.push("a99", seq)
    assert fleet.delivery("a99").accepted >= 4


def test_a_silent_actors_credit_still_counts(fleet: FakeFleet) -> None:
    fleet.join("a")
    assert credit_of(fleet, "a") == 4
    fleet.pass_time(6.0, step_s=1.0)
    for seq in range(1, 5):
        fleet.push("a", seq)
    assert fleet.delivery("a").accepted == 4


def test_silence_grants_no_extra_credit(fleet: FakeFleet) -> None:
    fleet.join("a")
    fleet.pass_time(6.0, step_s=1.0)
    for seq in range(1, 20):
        fleet.push("a", seq)
    assert fleet.delivery("a").accepted == 4


def test_a_peer_that_keeps_ignoring_credit_is_quarantined(fleet: FakeFleet) -> None:
    router = fleet.router
    router.on_ingest([encode_header(Hello(actor="key.a", incarnation=1))], 0.0, "key")
    for seq in range(1, 450):
        batch = Trajectories(
            actor="key.a",
            incarnation=1,
            seq=seq,
            run=RUN,
            version=PolicyVersion(1, 1),
            env_steps=5,
        )
        router.on_ingest([encode_header(batch), make_payload()], 0.0, "key")
        fleet.flush()
    assert [peer.name for peer in router.status(0.0).quarantined] == ["key"]
    assert router.status(0.0).queue_batches == 400


def test_evaluation_episodes_need_no_credit(fleet: FakeFleet) -> None:
    fleet.join("a")
    last = spend(fleet, "a")
    fleet.push("a", last + 1, purpose="evaluate", task="of-nobody")
    assert fleet.delivery("a").accepted == last + 1
