"""Which weights the router publishes, and under which version."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.conversation import FakeFleet, ledger, offered
from support.examples import (
    RUN,
    make_manifest,
    make_module,
    make_policy_frame,
    make_weights_frame,
)

from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import MIB
from headrace.protocol.messages import (
    Ledger,
    Offer,
    Publish,
    Refusal,
    Want,
    Welcome,
)
from headrace.protocol.topics import weights_topic


def test_a_learner_is_welcomed_with_its_epoch(running: FakeFleet) -> None:
    assert running.last(Welcome) == Welcome(
        broker=77, session=1, epoch=1, max_payload_bytes=256 * MIB
    )


def test_weights_are_broadcast_and_a_new_policy_is_sent_as_snapshots(running: FakeFleet) -> None:
    running.publish(2)
    [weights] = running.weights[weights_topic(RUN)]
    assert weights.message.version == PolicyVersion(1, 2)
    assert len(running.snapshots("a")) == 1
    module = make_module(lookback=1)
    running.publish(3, manifest=make_manifest(module=module))
    assert len(running.snapshots("a")) == 2


def test_the_weights_of_a_known_offer_are_not_wanted(running: FakeFleet) -> None:
    running.publish(1)
    assert running.last(Want) == Want(session=1, number=1, weights=False, policy=False)


def test_two_runners_publish_one_version_once(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    fields = offered(2)
    running.learner(Offer(session=1, **fields))
    answered = len(running.all(Want))
    running.learner(Offer(session=2, **fields))
    assert len(running.all(Want)) == answered  # it waits for the first one's publish
    running.learner(Publish(session=1, **fields), b"", make_weights_frame())
    assert running.last(Want) == Want(session=2, number=2, weights=False, policy=False)
    running.learner(Publish(session=2, **fields), b"", make_weights_frame())
    assert len(running.weights[weights_topic(RUN)]) == 1


def test_if_the_publishing_runner_ends_the_next_one_publishes(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    fields = offered(2)
    for session in (1, 2):
        running.learner(Offer(session=session, **fields))
    running.leave(session=1)
    assert running.last(Want) == Want(session=2, number=2, weights=True, policy=False)


def test_a_newer_version_does_not_wait_for_an_older_one(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    running.learner(Offer(session=1, **offered(2)))
    running.learner(Offer(session=2, **offered(3)))
    assert running.last(Want) == Want(session=2, number=3, weights=True, policy=False)


def test_a_late_offer_of_a_passed_version_begins_no_epoch(running: FakeFleet) -> None:
    running.publish(5)
    running.open(session=2, worker_index=1)
    for previous in (None, PolicyVersion(1, 2), PolicyVersion(0, 9)):
        fields: dict[str, Any] = {**offered(3), "weights_digest": "3" * 8}
        running.learner(Offer(session=2, previous=previous, **fields))
        assert running.last(Want) == Want(session=2, number=3, weights=False, policy=False)
    assert running.router.status(0.0).version == "1.5"


def test_a_lower_number_with_other_weights_begins_a_new_epoch(running: FakeFleet) -> None:
    running.publish(5)
    fields: dict[str, Any] = {**offered(2), "session": 1, "weights_digest": "f" * 8}
    running.learner(Offer(previous=PolicyVersion(1, 5), **fields))
    assert running.last(Welcome).epoch == 2
    running.learner(Publish(**fields), b"", make_weights_frame())
    assert running.router.status(0.0).version == "2.2"


def test_the_broker_begins_an_epoch_above_one_that_an_actor_knows(running: FakeFleet) -> None:
    running.alive("a", version=PolicyVersion(4, 9))
    assert running.last(Welcome).epoch == 5
    assert running.router.status(0.0).version == "5.1"
    assert running.weights[weights_topic(RUN)][-1].message.version == PolicyVersion(5, 1)


def test_a_learner_that_knows_a_newer_epoch_is_granted_one_above_it() -> None:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.open(newest_epoch=6)
    assert fleet.last(Welcome).epoch == 7


def test_batches_of_an_older_epoch_are_stale(running: FakeFleet) -> None:
    running.push("a", 1)
    running.leave()
    running.publish(1, session=2, learner_run="run-2")
    assert running.pull(100, session=2) == []
    assert ledger(running) == Ledger(produced=1, stale=1)


def test_a_replaced_learners_publish_is_refused(running: FakeFleet) -> None:
    running.open(session=2, learner_run="run-2", takeover=True)
    digest = make_policy_frame()[1]
    message = Publish(session=1, number=9, weights_digest="9" * 8, policy_digest=digest)
    running.learner(message, b"", make_weights_frame())
    assert running.last(Refusal).code is RejectCode.UNKNOWN_SESSION
    assert running.router.status(0.0).version == "1.1"


@pytest.mark.parametrize(
    ("policy", "weights"),
    [
        (b"\x80", make_weights_frame()),
        (make_policy_frame(make_manifest(run="other-run"))[0], make_weights_frame()),
        (make_policy_frame()[0], b"rubbish"),
        (make_policy_frame()[0], b"\x80"),
        (make_policy_frame()[0], b"\x81\xaedefault_policy\x80"),
        (make_policy_frame()[0], b"\x81\xaedefault_policy\x81\xa1w\x01"),
        (b"", make_weights_frame()),
    ],
)
def test_a_publish_that_contradicts_its_digest_or_manifest_is_refused(
    policy: bytes, weights: bytes
) -> None:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.open()
    digest = make_policy_frame()[1]
    message = Publish(session=1, number=1, weights_digest="1" * 8, policy_digest=digest)
    fleet.learner(message, policy, weights)
    assert fleet.last(Refusal).code in (RejectCode.INVALID_POLICY, RejectCode.MALFORMED)
    assert fleet.router.status(0.0).version is None


def test_queued_batches_that_a_new_policy_cannot_use_are_dropped(running: FakeFleet) -> None:
    running.push("a", 1)
    wider = make_module()
    columns = (msgspec.structs.replace(wider.columns[0], shape=(6,)), *wider.columns[1:])
    running.publish(2, manifest=make_manifest(module=make_module(columns=columns)))
    assert ledger(running) == Ledger(produced=1, dropped=1)


def test_a_new_run_drops_the_queued_batches_of_the_old_one(running: FakeFleet) -> None:
    running.push("a", 1)
    running.leave()
    running.publish(
        1, session=2, manifest=make_manifest(run="run-b"), learner_run="run-2", run="run-b"
    )
    assert ledger(running) == Ledger(produced=1, dropped=1)


def test_a_late_publish_of_a_passed_version_is_ignored(running: FakeFleet) -> None:
    running.open(session=2, worker_index=1)
    for number in (5, 6):
        fields = offered(number)
        running.learner(Offer(session=1, **fields))
    for number in (6, 5):
        fields = offered(number)
        running.learner(Publish(session=1, **fields), b"", make_weights_frame())
    assert running.router.status(0.0).version == "1.6"


def test_a_new_broker_keeps_a_learner_runs_epoch() -> None:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.join("a", version=PolicyVersion(3, 7), last_seq=1)
    fleet.open(granted_epoch=3)
    assert fleet.last(Welcome).epoch == 3
    fleet.publish(7)
    fleet.push("a", 1, version=PolicyVersion(3, 7))
    assert [lease.policy_lag for lease in fleet.pull(5)] == [0]


def test_weights_of_unknown_origin_begin_an_epoch_above_theirs(running: FakeFleet) -> None:
    running.join("b", version=PolicyVersion(1, 50))
    assert running.router.status(0.0).version == "2.1"


def test_an_implausibly_high_epoch_is_rejected(running: FakeFleet) -> None:
    running.alive("a", version=PolicyVersion(2**32, 1))
    running.open(session=2, learner_run="run-2", newest_epoch=2**32, takeover=True)
    assert running.router.status(0.0).version == "1.1"
    assert running.rejects("a")[-1].code is RejectCode.MALFORMED
    assert running.last(Refusal).code is RejectCode.MALFORMED


def test_a_learner_of_another_wire_version_is_refused(running: FakeFleet) -> None:
    header = {"kind": "learner_hello", "wire": 9, "session": 12}
    running.router.on_learner([b"x", msgspec.msgpack.encode(header)], 0.0)
    running.flush()
    assert running.last(Refusal).code is RejectCode.UNSUPPORTED_VERSION
    assert running.last(Refusal).session == 12


class TestEpochsOfSeveralBrokers:
    """A learner's versions have one epoch at all of its brokers: the highest one granted."""

    @pytest.mark.parametrize("session", [1, 2])
    def test_a_learner_raises_its_epoch_to_another_brokers(
        self, running: FakeFleet, session: int
    ) -> None:
        running.open(session=session, worker_index=session - 1, granted_epoch=7)
        assert {welcome.epoch for welcome in running.all(Welcome)[-session:]} == {7}
        running.publish(1)
        assert running.version == PolicyVersion(7, 1)

    def test_a_lower_epoch_changes_nothing(self, running: FakeFleet) -> None:
        running.open(session=1, granted_epoch=7)
        running.open(session=1, granted_epoch=3)
        assert running.last(Welcome).epoch == 7

    def test_an_implausibly_high_epoch_raises_nothing(self, running: FakeFleet) -> None:
        running.open(session=1, granted_epoch=2**53 - 1)
        assert running.last(Refusal).code is RejectCode.MALFORMED
        running.open(session=1)
        assert running.last(Welcome).epoch == 1

    def test_a_later_learner_is_granted_an_epoch_above_the_raised_one(
        self, running: FakeFleet
    ) -> None:
        running.open(session=1, granted_epoch=7)
        running.open(session=2, learner_run="run-2", takeover=True)
        assert running.last(Welcome).epoch == 8
