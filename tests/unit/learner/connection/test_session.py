"""A learner's session, message by message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import TypeVar

import pytest

from headrace.learner.connection.session import LearnerIdentity, LearnerSession
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    EvaluationRequest,
    FleetReport,
    HeldBatch,
    LearnerGoodbye,
    LearnerHello,
    Lease,
    Ledger,
    Mark,
    Message,
    Offer,
    Publish,
    Pull,
    Refusal,
    Want,
    Welcome,
)
from headrace.protocol.messages.headers import encode_header, from_learner_decoder

M = TypeVar("M", bound=Message)
IDENTITY = LearnerIdentity("run-1", 0, "run", "host", takeover=True, newest_epoch=4)
WEIGHTS = OfferedWeights(7, "0" * 8, "1" * 8, b"policy", b"weights")


class Talk:
    """A session, and the messages that it sent."""

    def __init__(self) -> None:
        ids: Iterator[int] = count(1)
        self.now_s = 0.0
        self.session = LearnerSession(IDENTITY, lambda: next(ids))
        self.sent: list[tuple[Message, list[bytes]]] = []

    def flush(self) -> None:
        for frames in self.session.outgoing(self.now_s):
            message, payloads = from_learner_decoder().decode(frames)
            self.sent.append((message, [bytes(payload) for payload in payloads]))

    def receive(self, message: Message, *payloads: bytes) -> None:
        self.session.on_message([encode_header(message), *payloads], self.now_s)
        self.flush()

    def all(self, kind: type[M]) -> list[M]:
        return [message for message, _ in self.sent if isinstance(message, kind)]

    def join(self, session: int = 1, epoch: int = 5) -> None:
        self.flush()
        self.receive(Welcome(broker=1, session=session, epoch=epoch))

    def lease(self, number: int, seq: int | None = None, session: int = 1, ended: int = 0) -> None:
        message = Lease(
            session=session,
            number=number,
            actor="a",
            incarnation=1,
            seq=seq or number,
            version=PolicyVersion(1, 1),
            env_steps=10,
            ended=ended,
        )
        self.receive(message, b"payload")


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def joined(talk: Talk) -> Talk:
    talk.join()
    return talk


def test_hello_is_repeated_until_the_broker_answers_with_welcome(talk: Talk) -> None:
    for _ in range(4):
        talk.flush()
        talk.now_s += 0.5
    assert len(talk.all(LearnerHello)) == 2
    talk.join()
    assert talk.session.is_joined
    assert talk.session.epoch == 5


def test_a_pull_asks_for_the_missing_env_steps(joined: Talk) -> None:
    joined.session.request(25)
    joined.flush()
    assert joined.all(Pull)[-1].lease_up_to_steps == 25
    joined.lease(1)
    joined.now_s = 1.0
    joined.flush()
    assert joined.all(Pull)[-1].lease_up_to_steps == 25


def test_taken_batches_are_confirmed_once_training_has_them(joined: Talk) -> None:
    for number in (1, 2, 3):
        joined.lease(number)
    taken = [joined.session.batches.take() for _ in range(2)]
    assert taken[1] is not None
    joined.session.confirm(taken[1])
    joined.flush()
    assert joined.all(Pull)[-1].confirmed == 2
    assert joined.session.batches.ready_env_steps == 10


def test_a_repeated_batch_is_dropped_but_its_lease_counts(joined: Talk) -> None:
    joined.lease(1, seq=4)
    joined.lease(2, seq=4)
    joined.lease(3, seq=5)
    taken = [joined.session.batches.take() for _ in range(3)]
    assert [batch.lease.seq if batch else None for batch in taken] == [4, 5, None]
    assert joined.session.duplicates == 1


@pytest.mark.parametrize("how", ["gap", "report"])
def test_a_lost_lease_begins_a_new_session_that_lists_held_batches(joined: Talk, how: str) -> None:
    joined.lease(1)
    if how == "gap":
        joined.lease(3)
    else:
        report = FleetReport(session=1, queue_env_steps=0, actors=1, ledger=Ledger(), last_lease=2)
        joined.receive(report)
    joined.flush()
    hello = joined.all(LearnerHello)[-1]
    assert (hello.session, hello.former, hello.granted_epoch) == (2, 1, 5)
    assert (hello.marks, hello.held) == ((Mark("a", 1, 0),), (HeldBatch(0, 1),))
    assert joined.session.batches.take() is not None


def test_a_new_session_reports_ended_confirmed_and_held_batches(joined: Talk) -> None:
    for number, seq in enumerate((3, 5, 6, 9), start=1):
        joined.lease(number, seq=seq, ended=min(seq - 1, 2))
    taken = [joined.session.batches.take() for _ in range(4)]
    assert taken[1] is not None
    joined.session.confirm(taken[1])
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    hello = joined.all(LearnerHello)[-1]
    assert hello.marks == (Mark("a", 1, 2, (3, 5)),)
    assert hello.held == (HeldBatch(0, 6), HeldBatch(0, 9))


def test_leases_of_an_earlier_session_are_confirmed_in_the_new_one(joined: Talk) -> None:
    for number in (1, 2, 3):
        joined.lease(number)
    taken = [joined.session.batches.take() for _ in range(3)]
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    joined.join(session=2)
    assert taken[1] is not None
    joined.session.confirm(taken[1])
    joined.flush()
    assert joined.all(Pull)[-1].confirmed == 2
    joined.lease(4, session=2)
    assert joined.session.is_joined, "new leases are numbered after the held ones"
    assert joined.session.batches.ready_env_steps == 10


def test_a_hello_contains_the_learners_number_of_sessions(joined: Talk) -> None:
    report = FleetReport(session=1, queue_env_steps=0, actors=1, ledger=Ledger(), sessions=3)
    joined.receive(report)
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    assert [hello.sessions for hello in joined.all(LearnerHello)] == [0, 3]


def test_a_repeated_batch_is_confirmed_even_as_the_newest_lease(joined: Talk) -> None:
    joined.lease(1)
    batch = joined.session.batches.take()
    assert batch is not None
    joined.session.confirm(batch)
    joined.lease(2, seq=1)
    joined.flush()
    assert joined.all(Pull)[-1].confirmed == 2


def test_only_the_first_hello_takes_over(joined: Talk) -> None:
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    first, second = joined.all(LearnerHello)
    assert (first.takeover, second.takeover) == (True, False)
    assert second.newest_epoch == 4


def test_leases_wait_until_offered_weights_are_published(joined: Talk) -> None:
    joined.session.offer(WEIGHTS)
    joined.session.request(100)
    joined.flush()
    assert joined.all(Offer)[-1].number == 7
    assert joined.all(Pull)[-1].lease_up_to_steps == 0
    joined.receive(Want(session=1, number=7, weights=True, policy=True))
    message, payloads = joined.sent[-2]
    assert isinstance(message, Publish)
    assert payloads == [b"policy", b"weights"]
    assert len(joined.all(Offer)) == 2
    joined.receive(Want(session=1, number=7, weights=False, policy=False))
    assert joined.all(Pull)[-1].lease_up_to_steps == 100


def test_the_policy_frame_is_sent_only_if_it_is_wanted(joined: Talk) -> None:
    joined.session.offer(WEIGHTS)
    joined.flush()
    joined.receive(Want(session=1, number=7, weights=True, policy=False))
    assert joined.sent[-2][1] == [b"", b"weights"]


def test_an_answer_to_an_older_offer_is_ignored(joined: Talk) -> None:
    joined.session.offer(WEIGHTS)
    joined.flush()
    joined.receive(Want(session=1, number=6, weights=True, policy=True))
    assert joined.all(Publish) == []


def test_an_offer_without_an_answer_is_repeated(joined: Talk) -> None:
    joined.session.offer(WEIGHTS)
    for _ in range(11):
        joined.flush()
        joined.now_s += 1.0
    assert len(joined.all(Offer)) == 3


def test_a_new_session_offers_again(joined: Talk) -> None:
    joined.session.offer(WEIGHTS)
    joined.flush()
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    joined.receive(Welcome(broker=2, session=2, epoch=5))
    assert [offer.session for offer in joined.all(Offer)] == [1, 2]


def settle(talk: Talk, weights: OfferedWeights, session: int = 1) -> None:
    talk.session.offer(weights)
    talk.flush()
    answer = Want(session=session, number=weights.number, weights=False, policy=False)
    talk.receive(answer)


def report(sessions: int = 1, *, stopping: bool = False) -> FleetReport:
    return FleetReport(
        session=1,
        queue_env_steps=0,
        actors=0,
        ledger=Ledger(),
        sessions=sessions,
        stopping=stopping,
    )


def next_weights(number: int = 8) -> OfferedWeights:
    return replace(WEIGHTS, number=number, weights_digest=f"{number:08x}")


def test_an_offer_names_the_version_before_it(joined: Talk) -> None:
    settle(joined, WEIGHTS)
    joined.session.offer(next_weights())
    joined.flush()
    assert [offer.previous for offer in joined.all(Offer)] == [None, PolicyVersion(5, 7)]


def test_the_same_weights_are_offered_once(joined: Talk) -> None:
    settle(joined, WEIGHTS)
    joined.session.offer(WEIGHTS)
    joined.flush()
    assert len(joined.all(Offer)) == 1


def test_a_lone_session_publishes_without_being_asked(joined: Talk) -> None:
    settle(joined, WEIGHTS)
    joined.receive(report())
    joined.session.offer(next_weights())
    joined.flush()
    [published] = joined.all(Publish)
    assert published.number == 8
    assert joined.sent[-2][1] == [b"", b"weights"]
    assert isinstance(joined.sent[-1][0], Offer)


@pytest.mark.parametrize("sessions", [0, 2])
def test_a_session_that_is_not_alone_asks_first(joined: Talk, sessions: int) -> None:
    settle(joined, WEIGHTS)
    joined.receive(report(sessions))
    joined.session.offer(next_weights())
    joined.flush()
    assert not joined.all(Publish)


@pytest.mark.parametrize(
    "weights",
    [next_weights(6), replace(next_weights(), policy_digest="2" * 8)],
    ids=["a number that goes back", "another policy"],
)
def test_a_lone_session_asks_first_about_an_older_number_or_another_policy(
    joined: Talk, weights: OfferedWeights
) -> None:
    settle(joined, WEIGHTS)
    joined.receive(report())
    joined.session.offer(weights)
    joined.flush()
    assert not joined.all(Publish)


def test_a_broker_that_may_not_know_the_policy_is_asked_first(joined: Talk) -> None:
    settle(joined, WEIGHTS)
    joined.receive(report())
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    joined.receive(Welcome(broker=2, session=2, epoch=5))
    joined.session.offer(next_weights())
    joined.flush()
    assert not joined.all(Publish)


def test_a_stop_is_announced_and_received(joined: Talk) -> None:
    assert not joined.session.run_is_stopping
    joined.receive(report(stopping=True))
    assert joined.session.run_is_stopping
    joined.session.stop()
    joined.flush()
    assert joined.all(Pull)[-1].stopping


def test_evaluations_are_requested_and_leave_no_marks(joined: Talk) -> None:
    request = EvaluationRequest("task", 2, PolicyVersion(5, 7))
    joined.session.evaluate(request)
    joined.flush()
    assert joined.all(Pull)[-1].evaluation == request
    lease = Lease(
        session=1,
        number=1,
        actor="a",
        incarnation=1,
        seq=9,
        version=PolicyVersion(5, 7),
        env_steps=10,
        purpose="evaluate",
        task="task",
    )
    joined.receive(lease, b"payload")
    assert [batch.lease.seq for batch in joined.session.evaluated] == [9]
    assert joined.session.batches.take() is None
    joined.lease(2, seq=3)
    assert joined.session.batches.take() is not None
    joined.receive(Refusal(session=1, code=RejectCode.UNKNOWN_SESSION, reason=""))
    hello = joined.all(LearnerHello)[-1]
    assert (hello.marks, hello.held) == ((Mark("a", 1, 0),), (HeldBatch(0, 3),))


def test_a_refusal_ends_the_session(joined: Talk) -> None:
    joined.receive(Refusal(session=1, code=RejectCode.LEARNER_EXISTS, reason="there is one"))
    assert joined.session.refusal is not None
    assert joined.session.next_event_at_s() == float("inf")


@pytest.mark.parametrize("joins_first", [True, False])
def test_weights_that_the_broker_would_reject_are_not_published(
    talk: Talk, joins_first: bool
) -> None:
    welcome = Welcome(broker=1, session=1, epoch=5, max_payload_bytes=6)
    talk.flush()
    if joins_first:
        talk.receive(welcome)
    talk.session.offer(WEIGHTS)
    if not joins_first:
        assert talk.session.refusal is None
        talk.receive(welcome)
    refusal = talk.session.refusal
    assert refusal is not None
    assert "take 7 bytes, and this broker takes 6" in refusal.reason
    assert "--max-payload-bytes 7" in refusal.reason
    talk.flush()
    assert talk.all(Publish) == []


def test_messages_of_an_older_session_are_ignored(joined: Talk) -> None:
    joined.lease(1, session=9)
    assert joined.session.batches.take() is None


def test_goodbye_names_the_session(joined: Talk) -> None:
    [frame] = joined.session.goodbye()
    assert from_learner_decoder().decode([frame])[0] == LearnerGoodbye(session=1)


def test_an_epoch_that_changes_within_a_session_is_adopted(joined: Talk) -> None:
    joined.receive(Welcome(broker=1, session=1, epoch=9))
    assert joined.session.epoch == 9
