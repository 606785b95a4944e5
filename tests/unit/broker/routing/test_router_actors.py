"""The router's answers to actors."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.conversation import FakeFleet, ledger
from support.examples import make_payload, make_policy_frame
from support.statuses import actors_of

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import MIB, DecodeLimits
from headrace.protocol.messages import Beacon, Ledger, Totals
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic


def test_a_hello_is_answered_with_a_delivery_state(fleet: FakeFleet) -> None:
    fleet.join("a")
    assert fleet.delivery("a").broker == 77
    assert fleet.delivery("a").credit is None


def test_credit_starts_with_the_first_policy(fleet: FakeFleet) -> None:
    fleet.join("a")
    fleet.publish()
    credit = fleet.delivery("a").credit
    assert credit is not None
    assert credit.up_to == 4
    assert credit.min_version == PolicyVersion(1, 0)


def test_a_batch_is_accepted_and_queued(running: FakeFleet) -> None:
    running.push("a", 1)
    assert running.delivery("a").accepted == 1
    assert running.delivery("a").acknowledged == 0
    assert ledger(running) == Ledger(produced=1, held=1)


def test_a_duplicate_batch_is_kept_once(running: FakeFleet) -> None:
    running.push("a", 1)
    running.push("a", 1, sent_before=True)
    assert running.router.status(0.0).queue_batches == 1
    assert running.router.status(0.0).duplicates == 1


def test_a_batch_out_of_order_reports_a_gap(running: FakeFleet) -> None:
    running.push("a", 2)
    assert running.delivery("a").gap
    assert running.delivery("a").accepted == 0


def test_an_unknown_actors_batch_is_not_accepted(running: FakeFleet) -> None:
    running.push("stranger", 1)
    assert delivery_topic("stranger") not in running.control
    assert running.router.status(0.0).queue_batches == 0


@pytest.mark.parametrize(
    ("payload", "header", "code"),
    [
        (b"rubbish", {}, RejectCode.MALFORMED),
        (make_payload(rewards=np.full(5, np.nan, np.float32)), {}, RejectCode.INVALID_BATCH),
        (make_payload(obs=np.zeros((7, 3), np.float32)), {}, RejectCode.INVALID_BATCH),
        (make_payload(), {"env_steps": 4}, RejectCode.INVALID_BATCH),
        (make_payload(), {"run": "other"}, RejectCode.WRONG_RUN),
        (make_payload(), {"purpose": "evaluate"}, RejectCode.UNEXPECTED_PURPOSE),
    ],
)
def test_an_invalid_batch_is_rejected_with_a_reason_and_blocks_nothing(
    running: FakeFleet, payload: bytes, header: dict[str, object], code: RejectCode
) -> None:
    running.push("a", 1, payload=payload, **header)
    assert running.rejects("a")[-1].code is code
    assert running.rejects("a")[-1].seq == 1
    assert running.delivery("a").acknowledged == 1
    assert running.delivery("a").totals == Totals(rejected=1)
    running.push("a", 2)
    assert running.delivery("a").accepted == 2
    assert ledger(running) == Ledger(produced=2, rejected=1, held=1)


def test_malformed_messages_are_counted_and_answered_if_the_sender_is_readable(
    running: FakeFleet,
) -> None:
    running.router.on_ingest([b"\xc1"], 0.0)
    running.router.on_ingest([], 0.0)
    header: dict[str, object] = {"kind": "hello", "wire": 9, "wire_min": 9, "wire_max": 9}
    header |= {"actor": "future", "incarnation": 5}
    running.router.on_ingest([msgspec.msgpack.encode(header)], 0.0)
    running.flush()
    assert running.router.status(0.0).rejects == {"malformed": 2, "unsupported_version": 1}
    assert running.rejects("future")[0].code is RejectCode.UNSUPPORTED_VERSION


def test_a_later_process_with_the_same_id_supersedes_the_earlier_one(running: FakeFleet) -> None:
    running.push("a", 1)
    running.join("a", incarnation=2)
    running.alive("a", incarnation=1)
    assert running.rejects("a")[-1].code is RejectCode.SUPERSEDED
    assert running.rejects("a")[-1].incarnation == 1
    running.push("a", 1, incarnation=2)
    assert running.delivery("a").incarnation == 2
    assert ledger(running) == Ledger(produced=2, held=2)


def test_undelivered_batches_of_a_superseded_process_count_as_dropped(running: FakeFleet) -> None:
    running.alive("a", last_seq=3)
    assert ledger(running) == Ledger(produced=3, held=3)
    running.join("a", incarnation=2)
    assert ledger(running) == Ledger(produced=3, dropped=3)


def test_batches_of_an_actor_that_left_are_still_consumed(running: FakeFleet) -> None:
    running.push("a", 1)
    running.goodbye("a", last_seq=1)
    [lease] = running.pull(100)
    running.pull(100, confirmed=lease.number)
    assert ledger(running) == Ledger(produced=1, consumed=1)
    assert actors_of(running.router, 0.0) == []


def test_a_silent_actor_gets_no_credit_until_it_speaks_again(running: FakeFleet) -> None:
    running.pass_time(6.0)
    [actor] = actors_of(running.router, running.now_s)
    assert not actor.is_live
    assert "silent" in actor.advice
    running.alive("a")
    [actor] = actors_of(running.router, running.now_s)
    assert actor.is_live
    assert actor.unarrived == 4


def test_each_new_actor_gets_one_snapshot(running: FakeFleet) -> None:
    running.join("b")
    running.alive("b")
    assert len(running.snapshots("b")) == 1


def test_an_actor_that_joined_before_the_policy_gets_it_when_it_is_published(
    fleet: FakeFleet,
) -> None:
    fleet.join("a")
    assert fleet.snapshots("a") == []
    fleet.publish()
    assert len(fleet.snapshots("a")) == 1


def test_an_actor_that_stays_behind_gets_its_snapshot_again_at_growing_intervals(
    running: FakeFleet,
) -> None:
    for _ in range(40):
        running.pass_time(0.5)
        running.alive("a")
    assert len(running.snapshots("a")) == 3  # joined, after 5 s, and 10 s later


def test_an_up_to_date_actor_gets_no_second_snapshot(running: FakeFleet) -> None:
    digest = make_policy_frame()[1]
    for _ in range(20):
        running.pass_time(1.0)
        running.alive("a", version=running.version, policy_digest=digest)
    assert len(running.snapshots("a")) == 1


def test_an_actor_that_unsubscribed_gets_no_snapshot(running: FakeFleet) -> None:
    running.router.on_weights_subscription(snapshot_topic("a"), False, 0.0)
    running.pass_time(10.0)
    running.alive("a")
    assert len(running.snapshots("a")) == 1


def test_the_beacon_contains_run_and_version(running: FakeFleet) -> None:
    running.pass_time(2.5)
    beacons = [m for m in running.control[BEACON] if isinstance(m, Beacon)]
    assert len(beacons) == 3
    assert beacons[-1] == Beacon(
        broker=77,
        run="test-run",
        version=running.version,
        learner=True,
        max_payload_bytes=256 * MIB,
    )


def test_a_full_queue_accepts_no_batch_and_requests_it_once_there_is_room() -> None:
    fleet = FakeFleet(Router(RouterConfig(queue_env_steps=8), 1, 0.0))
    fleet.publish()
    fleet.join("a")
    fleet.push("a", 1)
    fleet.push("a", 2)
    assert fleet.delivery("a").accepted == 1
    assert not fleet.delivery("a").accepts
    fleet.pull(5)
    assert fleet.delivery("a").gap
    assert fleet.delivery("a").accepts
    fleet.push("a", 2)
    assert fleet.delivery("a").accepted == 2


def test_batches_stay_with_their_actor_until_a_policy_is_published(fleet: FakeFleet) -> None:
    fleet.join("a", last_seq=1)
    fleet.push("a", 1)
    assert fleet.delivery("a").accepted == 0
    assert not fleet.delivery("a").accepts
    fleet.publish()
    assert fleet.delivery("a").gap
    assert fleet.delivery("a").accepts


def test_totals_that_do_not_add_up_are_rejected(running: FakeFleet) -> None:
    running.join("liar", acknowledged=3)
    assert running.rejects("liar")[0].code is RejectCode.MALFORMED


def test_a_draining_broker_accepts_and_grants_nothing(running: FakeFleet) -> None:
    running.push("a", 1)
    running.router.drain()
    running.push("a", 2)
    assert running.delivery("a").accepted == 1
    assert not running.router.is_drained
    [lease] = running.pull(100)
    running.pull(100, confirmed=lease.number)
    assert running.router.is_drained


def test_a_hello_with_wrong_totals_does_not_end_the_live_incarnation(
    running: FakeFleet,
) -> None:
    running.join("a", incarnation=2, acknowledged=9)
    running.push("a", 1)
    assert running.delivery("a").accepted == 1


def test_a_superseded_incarnation_with_open_batches_stays_superseded(running: FakeFleet) -> None:
    running.push("a", 1)
    for incarnation in range(2, 20):
        running.join("a", incarnation=incarnation)
    running.join("a", incarnation=1)
    assert running.rejects("a")[-1].code is RejectCode.SUPERSEDED
    [lease] = running.pull(5)
    running.pull(5, confirmed=lease.number)
    assert ledger(running).consumed == 1


def test_batches_undelivered_at_a_goodbye_count_as_dropped(running: FakeFleet) -> None:
    running.push("a", 1)
    running.goodbye("a", last_seq=3)
    assert ledger(running) == Ledger(produced=3, dropped=2, held=1)


def test_an_actor_that_stays_silent_is_forgotten(running: FakeFleet) -> None:
    running.alive("a", last_seq=2)
    running.pass_time(601.0, step_s=1.0)
    assert actors_of(running.router, running.now_s) == []
    assert ledger(running) == Ledger(produced=2, dropped=2)
    running.alive("a", last_seq=2)
    assert running.rejects("a") == []
    running.push("a", 1)
    assert running.delivery("a").accepted == 1
    assert ledger(running) == Ledger(produced=2, held=2)


def test_an_actor_that_was_forgotten_returns_to_its_batches(running: FakeFleet) -> None:
    for seq in (1, 2):
        running.push("a", seq)
    running.pass_time(601.0, step_s=1.0)
    assert actors_of(running.router, running.now_s) == []
    running.alive("a", last_seq=2)
    assert running.rejects("a") == []
    assert ledger(running) == Ledger(produced=2, held=2)
    running.open(session=2)
    [leased] = running.pull(5, session=2)
    running.pull(0, session=2, confirmed=1)
    assert leased.seq == 1
    assert ledger(running) == Ledger(produced=2, consumed=1, held=1)
    running.goodbye("a", last_seq=2)
    assert ledger(running) == Ledger(produced=2, consumed=1, held=1)


def test_a_payload_above_the_limit_is_rejected_and_blocks_nothing() -> None:
    limits = DecodeLimits(max_payload_bytes=3000)
    fleet = FakeFleet(Router(RouterConfig(limits=limits), 1, 0.0))
    fleet.publish()
    fleet.join("a")
    fleet.push("a", 1, payload=bytes(3001))
    assert fleet.rejects("a")[-1].code is RejectCode.OVERSIZED
    fleet.push("a", 2)
    assert fleet.delivery("a").accepted == 2


def test_room_for_one_batch_wakes_one_actor() -> None:
    fleet = FakeFleet(Router(RouterConfig(queue_env_steps=10), 1, 0.0))
    fleet.publish()
    for name in "abcd":
        fleet.join(name)
        fleet.push(name, 1)
    fleet.pull(5)
    woken = [name for name in "abcd" if fleet.delivery(name).gap]
    assert woken == ["c"]


def test_a_large_fleet_reports_more_rarely_and_its_silence_is_tolerated_for_longer() -> None:
    fleet = FakeFleet(Router(RouterConfig(presences_per_s=10.0), incarnation=77, now_s=0.0))
    for number in range(40):
        fleet.join(f"a{number}")
    fleet.pass_time(1.5)
    beacon = fleet.control[BEACON][-1]
    assert isinstance(beacon, Beacon)
    assert beacon.presence_s == 4.0
    fleet.pass_time(17.0)
    assert all(actor.is_live for actor in actors_of(fleet.router, fleet.now_s))
    fleet.pass_time(3.0)
    assert not any(actor.is_live for actor in actors_of(fleet.router, fleet.now_s))
