"""An actor's session against a router, without sockets."""

from __future__ import annotations

import random

import msgspec
import pytest
from support.conversation import FakeFleet
from support.examples import (
    RUN,
    make_manifest,
    make_payload,
    make_policy_frame,
    make_weights_frame,
)
from support.statuses import actors_of

from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.session import ActorSession, PushedBatch
from headrace.broker.config import RouterConfig
from headrace.broker.routing.router import Router
from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    Alive,
    Assignment,
    Beacon,
    Credit,
    Delivery,
    EvaluationTask,
    Hello,
    Message,
    Reject,
    Snapshot,
    Totals,
    Trajectories,
    Weights,
)
from headrace.protocol.messages.headers import encode_header, ingest_decoder
from headrace.protocol.topics import delivery_topic, snapshot_topic

V1, V2 = PolicyVersion(1, 1), PolicyVersion(1, 2)
POLICY, DIGEST = make_policy_frame()


@pytest.fixture
def session() -> ActorSession:
    return ActorSession("a", 5, "host", ClientConfig(), random.Random(0))


def test_the_brokers_limit_of_payloads_counts(session: ActorSession) -> None:
    assert session.limits.max_payload_bytes == ClientConfig().limits.max_payload_bytes
    control(session, Beacon(broker=1, max_payload_bytes=5000))
    assert session.limits.max_payload_bytes == 5000


def control(session: ActorSession, message: Message) -> None:
    session.on_control([encode_header(message)], 0.0)


def delivery(broker: int = 1, credit: Credit | None = None, incarnation: int = 5) -> Delivery:
    return Delivery(
        broker=broker,
        incarnation=incarnation,
        accepted=0,
        acknowledged=0,
        totals=Totals(),
        credit=credit,
    )


def snapshot(session: ActorSession, version: PolicyVersion, run: str = RUN) -> None:
    policy, digest = make_policy_frame(make_manifest(run=run))
    message = Snapshot(run=run, version=version, policy_digest=digest)
    session.on_weights([encode_header(message), policy, make_weights_frame(version.number)])


def presence(session: ActorSession, now_s: float = 0.0) -> Message | None:
    frames = session.next_presence(now_s)
    return None if frames is None else ingest_decoder().decode(frames)[0]


def test_endpoints_that_prove_nothing_for_five_seconds_are_reconnected(
    session: ActorSession,
) -> None:
    assert session.take_silent_endpoints(0.0) == []
    beacon = Beacon(broker=1, version=V1)
    for second in range(1, 5):
        session.on_control([encode_header(beacon)], float(second))
    session.on_control([encode_header(delivery())], 4.0)
    assert session.take_silent_endpoints(6.0) == ["weights"], "its version has not arrived"
    assert session.take_silent_endpoints(9.5) == ["ingest", "control"]


def test_after_a_disconnect_presence_is_sent_before_batches(
    session: ActorSession,
) -> None:
    credit = Credit(2, 10, 1.0, V1)
    control(session, delivery(credit=credit))
    presence(session, 0.0)
    session.push(PushedBatch(V1, RUN, 5, b"payload"))
    session.on_disconnect(0.1)
    assert session.next_batch(0.1) is None
    assert isinstance(presence(session, 0.1), Alive)
    control(session, delivery(credit=credit))
    assert session.next_batch(0.2) is not None


def test_hello_is_repeated_until_it_is_answered(session: ActorSession) -> None:
    assert isinstance(presence(session, 0.0), Hello)
    assert presence(session, 0.5) is None
    assert isinstance(presence(session, 1.0), Hello)
    control(session, delivery())
    assert isinstance(presence(session, 2.0), Alive)


def test_a_beacon_of_another_broker_triggers_a_hello_at_once(session: ActorSession) -> None:
    presence(session, 0.0)
    control(session, delivery(broker=1))
    control(session, Beacon(broker=1))
    assert presence(session, 0.1) is None
    control(session, Beacon(broker=2))
    assert isinstance(presence(session, 0.1), Hello)


def test_messages_for_an_earlier_incarnation_are_ignored(session: ActorSession) -> None:
    control(session, delivery(incarnation=4, credit=Credit(9, 1, 1.0, V1)))
    control(session, Reject(incarnation=4, code=RejectCode.SUPERSEDED, reason=""))
    assert session.credit is None
    assert session.refusal is None


def test_a_superseded_incarnation_is_refused(session: ActorSession) -> None:
    control(session, Reject(incarnation=5, code=RejectCode.SUPERSEDED, reason="later"))
    assert session.refusal is not None
    assert session.refusal.code is RejectCode.SUPERSEDED


def test_a_rejected_batch_does_not_refuse_the_actor(session: ActorSession) -> None:
    control(session, Reject(incarnation=5, code=RejectCode.INVALID_BATCH, reason="NaN", seq=1))
    assert session.refusal is None
    assert [reject.reason for reject in session.rejects] == ["NaN"]


def test_a_snapshot_contains_policy_and_weights(session: ActorSession) -> None:
    assert session.policy_update() is None
    snapshot(session, V1)
    update = session.policy_update()
    assert update is not None
    assert (update.version, update.digest, session.run) == (V1, DIGEST, RUN)
    assert session.policy_update() is update


def test_versions_never_go_back_within_a_run(session: ActorSession) -> None:
    snapshot(session, V2)
    snapshot(session, V1)
    assert session.newest_version == V2
    weights = Weights(run=RUN, version=V1, policy_digest=DIGEST)
    session.on_weights([encode_header(weights), make_weights_frame()])
    assert session.newest_version == V2


def test_another_run_replaces_the_policy_whatever_its_version(session: ActorSession) -> None:
    snapshot(session, PolicyVersion(3, 9))
    snapshot(session, V1, run="run-b")
    assert (session.run, session.newest_version) == ("run-b", V1)


def test_weights_for_an_unknown_policy_are_dropped(session: ActorSession) -> None:
    weights = Weights(run=RUN, version=V1, policy_digest=DIGEST)
    session.on_weights([encode_header(weights), make_weights_frame()])
    assert session.newest_version is None


def test_a_policy_frame_that_differs_from_its_digest_is_refused(session: ActorSession) -> None:
    message = Snapshot(run=RUN, version=V1, policy_digest="0" * 32)
    with pytest.raises(RemoteProtocolError, match="digest"):
        session.on_weights([encode_header(message), POLICY, make_weights_frame()])


def test_a_batch_may_begin_with_credit_and_the_weights_it_needs(session: ActorSession) -> None:
    control(session, delivery(credit=Credit(1, 10, 1.0, V2)))
    assert not session.may_begin()
    snapshot(session, V1)
    assert not session.may_begin()
    snapshot(session, V2)
    assert session.may_begin()


def test_a_batch_is_outdated_once_newer_weights_are_needed(session: ActorSession) -> None:
    assert not session.is_outdated(V1)
    control(session, delivery(credit=Credit(1, 10, 1.0, V2)))
    assert session.is_outdated(V1)
    assert not session.is_outdated(V2)


def test_pushing_a_batch_without_credit_is_a_local_error(session: ActorSession) -> None:
    with pytest.raises(LocalProtocolError, match="credit"):
        session.push(PushedBatch(V1, RUN, 5, b""))


def test_an_evaluation_needs_a_task_and_its_weights_but_no_credit(session: ActorSession) -> None:
    snapshot(session, V1)
    task = EvaluationTask("task", 2, V2)
    control(session, msgspec.structs.replace(delivery(), task=task))
    assert session.task_to_begin() is None
    snapshot(session, V2)
    for _ in range(2):
        assert session.task_to_begin() == task
        session.evaluations.begin("task")
    assert session.task_to_begin() is None
    session.push(PushedBatch(V2, RUN, 5, make_payload(), "evaluate", "task"))
    sent = session.next_batch(0.0)
    assert sent is not None
    header = ingest_decoder().decode(sent[1])[0]
    assert isinstance(header, Trajectories)
    assert (header.purpose, header.task) == ("evaluate", "task")


def test_a_broker_that_has_granted_no_credit_does_not_end_an_assignment(
    session: ActorSession,
) -> None:
    assignment, credit = Assignment(4, "level-4", {"level": 4}), Credit(1, 10, 1.0, V1)
    control(session, msgspec.structs.replace(delivery(), assignment=assignment))
    assert session.assignment == assignment
    control(session, delivery(broker=2))
    assert session.assignment == assignment
    control(session, delivery(broker=2, credit=credit))
    assert session.assignment is None


def test_a_batch_begun_under_an_earlier_brokers_credit_may_be_finished(
    session: ActorSession,
) -> None:
    control(session, delivery(broker=1, credit=Credit(1, 10, 1.0, V1)))
    control(session, delivery(broker=2))
    assert session.push(PushedBatch(V1, RUN, 5, b"")) == 1


def test_a_batch_goes_end_to_end_through_a_router(session: ActorSession) -> None:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.publish()
    fleet.router.on_weights_subscription(snapshot_topic("a"), True, 0.0)
    frames = session.next_presence(0.0)
    assert frames is not None
    fleet.router.on_ingest(frames, 0.0)
    fleet.flush()
    [sent] = fleet.snapshots("a")
    session.on_weights([encode_header(sent.message), *sent.payloads])
    _deliver_to(session, fleet)
    assert session.may_begin()
    session.push(PushedBatch(V1, RUN, 5, make_payload()))
    assert session.unaccepted == 1
    due = session.next_batch(0.0)
    assert due is not None
    session.mark_sent(due[0], 0.0)
    fleet.router.on_ingest(due[1], 0.0)
    fleet.flush()
    [lease] = fleet.pull(5)
    fleet.pull(5, confirmed=lease.number)
    _deliver_to(session, fleet)
    assert session.sender.totals == Totals(consumed=1)
    assert session.next_batch(100.0) is None
    fleet.router.on_ingest(session.goodbye(), 0.0)
    assert actors_of(fleet.router, 0.0) == []


def _deliver_to(session: ActorSession, fleet: FakeFleet) -> None:
    for message in fleet.control[delivery_topic("a")]:
        control(session, message)


def test_presence_follows_the_period_of_the_beacon(session: ActorSession) -> None:
    assert isinstance(presence(session, 0.0), Hello)
    control(session, delivery())
    control(session, Beacon(broker=1, presence_s=5.0))
    assert isinstance(presence(session, 1.0), Alive)
    session.on_control([encode_header(delivery())], 1.0)
    assert presence(session, 5.9) is None
    session.on_control([encode_header(Beacon(broker=1, presence_s=5.0))], 5.9)
    assert "ingest" not in session.take_silent_endpoints(6.5)
    assert isinstance(presence(session, 6.0), Alive)
    control(session, Beacon(broker=1))
    assert isinstance(presence(session, 7.0), Alive)
