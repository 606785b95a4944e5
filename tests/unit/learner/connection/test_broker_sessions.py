"""A learner's sessions with several brokers, message by message."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, TypeVar

import pytest

from headrace.learner.connection.broker_sessions import BrokerSessions
from headrace.learner.connection.known_broker import GONE_AFTER_S
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    Assignment,
    EvaluationRequest,
    FleetReport,
    LearnerHello,
    LearnerProgress,
    Lease,
    Ledger,
    Message,
    Offer,
    Pull,
    Refusal,
    Want,
    Welcome,
)
from headrace.protocol.messages.headers import encode_header, from_learner_decoder

M = TypeVar("M", bound=Message)
WEIGHTS = OfferedWeights(7, "0" * 8, "1" * 8, b"policy", b"weights")


class Talk:
    """The sessions with brokers 0, 1, …, whose ids are 1, 2, …, and what they sent."""

    def __init__(self, brokers: int) -> None:
        ids = count(1)
        self.now_s = 0.0
        self.sessions = BrokerSessions(
            LearnerIdentity("run-1", 0, "run", "host"), brokers, lambda: next(ids)
        )
        self.sent: list[tuple[int, Message]] = []
        self._leases = [count(1) for _ in range(brokers)]
        self.brokers = range(brokers)

    def flush(self) -> None:
        for broker, frames in self.sessions.outgoing(self.now_s):
            self.sent.append((broker, from_learner_decoder().decode(frames)[0]))

    def receive(self, broker: int, message: Message, *payloads: bytes) -> None:
        self.sessions.on_message(broker, [encode_header(message), *payloads], self.now_s)
        self.flush()

    def all(self, broker: int, kind: type[M]) -> list[M]:
        return [m for number, m in self.sent if number == broker and isinstance(m, kind)]

    def join(self, actors: Sequence[int], epochs: Sequence[int] | None = None) -> None:
        self.flush()
        for broker, number in enumerate(actors):
            epoch = epochs[broker] if epochs else 1
            self.receive(broker, Welcome(broker=broker, session=broker + 1, epoch=epoch))
            self.report(broker, actors=number)

    def report(self, broker: int, queue_env_steps: int = 0, **fields: Any) -> None:
        known: dict[str, Any] = {"actors": 1, "ledger": Ledger(), **fields}
        self.receive(
            broker, FleetReport(session=broker + 1, queue_env_steps=queue_env_steps, **known)
        )

    def lease(self, broker: int, env_steps: int, **fields: Any) -> None:
        number = next(self._leases[broker])
        message = Lease(
            session=broker + 1,
            number=number,
            actor=f"a{broker}",
            incarnation=1,
            seq=number,
            version=PolicyVersion(1, 1),
            env_steps=env_steps,
            **fields,
        )
        self.receive(broker, message, b"payload")

    def request(self, env_steps: int) -> None:
        self.sessions.request(env_steps, self.now_s)
        self.flush()

    @property
    def limits(self) -> list[int]:
        """What each broker may lease in all."""
        return [self.all(broker, Pull)[-1].lease_up_to_steps for broker in self.brokers]


@pytest.fixture
def talk() -> Talk:
    made = Talk(2)
    made.join([3, 1])
    return made


def test_the_only_broker_is_asked_for_everything_and_told_no_share() -> None:
    alone = Talk(1)
    alone.join([3])
    alone.request(100)
    pull = alone.all(0, Pull)[-1]
    assert (pull.lease_up_to_steps, pull.share) == (100, Pull(1, 0, 0).share)


def test_each_broker_is_asked_for_its_share_and_told_it(talk: Talk) -> None:
    talk.request(100)
    assert talk.limits == [75, 25]
    assert [talk.all(broker, Pull)[-1].share for broker in talk.brokers] == [0.75, 0.25]


def test_batches_are_taken_in_order_of_arrival_and_confirmed_where_they_came_from(
    talk: Talk,
) -> None:
    talk.request(100)
    for broker in (0, 1, 0, 1):
        talk.lease(broker, 10)
    taken = [talk.sessions.take() for _ in range(5)]
    assert [batch.lease.actor if batch else None for batch in taken] == [
        *["a0", "a1", "a0", "a1"],
        None,
    ]
    assert taken[2] is not None
    talk.sessions.confirm(taken[2])
    talk.flush()
    assert [talk.all(broker, Pull)[-1].confirmed for broker in talk.brokers] == [2, 1]
    talk.sessions.confirm(taken[2])
    assert taken[3] is not None
    talk.sessions.confirm(taken[3])
    talk.flush()
    assert [talk.all(broker, Pull)[-1].confirmed for broker in talk.brokers] == [2, 2]


def test_a_fast_broker_takes_over_what_a_slow_one_does_not_have(talk: Talk) -> None:
    talk.request(100)
    for broker in talk.brokers:
        talk.report(broker)
    talk.lease(0, 75)
    assert talk.limits == [75 + 13, 12]


def test_what_a_slow_broker_has_ready_is_waited_for(talk: Talk) -> None:
    talk.request(100)
    talk.report(0)
    talk.report(1, queue_env_steps=25)
    talk.lease(0, 75)
    assert talk.limits == [75, 25]


def test_a_silent_broker_is_left_out_and_taken_in_again(talk: Talk) -> None:
    assert talk.sessions.take_changes() == [(0, True), (1, True)]
    talk.request(100)
    talk.now_s = GONE_AFTER_S + 1
    talk.report(0, actors=3)
    assert talk.sessions.take_changes() == [(1, False)]
    assert talk.limits == [100, 0]
    talk.report(1, actors=1)
    assert talk.sessions.take_changes() == [(1, True)]
    talk.lease(0, 100)
    talk.request(200)
    assert talk.limits == [175, 25]


def test_without_any_broker_what_is_asked_stays_asked_of_all(talk: Talk) -> None:
    talk.request(100)
    talk.now_s = GONE_AFTER_S + 1
    talk.flush()
    assert talk.limits == [75, 25]
    assert not talk.sessions.offer_is_settled


def test_brokers_with_a_lower_epoch_are_raised_and_offered_the_weights_again() -> None:
    talk = Talk(2)
    talk.sessions.offer(WEIGHTS)
    talk.join([1, 1], epochs=[1, 7])
    talk.receive(0, Want(session=1, number=7, weights=False, policy=False))
    hello = talk.all(0, LearnerHello)[-1]
    assert (hello.session, hello.granted_epoch) == (1, 7)
    offers = len(talk.all(0, Offer))
    talk.receive(0, Welcome(broker=0, session=1, epoch=7))
    assert len(talk.all(0, Offer)) == offers + 1
    assert talk.sessions.epoch == 7
    talk.now_s = 5.0
    talk.flush()
    assert talk.all(0, LearnerHello)[-1] is hello, "it is level now"


def test_everything_else_goes_to_all_brokers(talk: Talk) -> None:
    talk.sessions.offer(WEIGHTS)
    talk.sessions.assign(Assignment(number=4, task="level-1"))
    talk.sessions.report_progress(LearnerProgress(iteration=9))
    talk.sessions.stop()
    talk.flush()
    for broker in talk.brokers:
        pull = talk.all(broker, Pull)[-1]
        assert pull.stopping
        assert pull.assignment == Assignment(number=4, task="level-1")
        assert pull.progress == LearnerProgress(iteration=9)
        assert talk.all(broker, Offer)[-1].number == 7


def test_weights_are_settled_once_they_are_at_all_brokers_but_those_gone(talk: Talk) -> None:
    talk.sessions.offer(WEIGHTS)
    talk.receive(0, Want(session=1, number=7, weights=False, policy=False))
    assert not talk.sessions.offer_is_settled
    talk.receive(1, Want(session=2, number=7, weights=False, policy=False))
    assert talk.sessions.offer_is_settled


def test_reports_add_up(talk: Talk) -> None:
    talk.report(0, 10, actors=3, ledger=Ledger(produced=5, consumed=5), evaluators=1)
    talk.report(1, 20, actors=1, ledger=Ledger(produced=2, held=2), stopping=True)
    report = talk.sessions.report
    assert report is not None
    assert (report.queue_env_steps, report.actors, report.evaluators) == (30, 4, 1)
    assert report.ledger == Ledger(produced=7, consumed=5, held=2)
    assert talk.sessions.run_is_stopping


def test_of_a_broker_that_is_gone_only_the_books_count(talk: Talk) -> None:
    talk.report(1, 20, actors=1, ledger=Ledger(produced=2, held=2))
    talk.now_s = GONE_AFTER_S + 1
    talk.report(0, 10, actors=3, ledger=Ledger(produced=5, consumed=5))
    report = talk.sessions.report
    assert report is not None
    assert (report.queue_env_steps, report.actors) == (10, 3)
    assert report.ledger.produced == 7


def test_reports_are_awaited_from_all_brokers_but_those_gone(talk: Talk) -> None:
    seen = talk.sessions.report_counts
    talk.report(0)
    assert not talk.sessions.have_reported_since(seen)
    talk.now_s = GONE_AFTER_S + 1
    talk.report(0)
    assert talk.sessions.have_reported_since(seen)


def test_a_refusal_says_which_broker_refused(talk: Talk) -> None:
    talk.receive(1, Refusal(session=2, code=RejectCode.LEARNER_EXISTS, reason="another"))
    assert talk.sessions.refusal is not None
    broker, error = talk.sessions.refusal
    assert (broker, error.code) == (1, RejectCode.LEARNER_EXISTS)


def test_an_evaluation_asks_all_brokers_for_parts_and_collects_them(talk: Talk) -> None:
    for broker in talk.brokers:
        talk.report(broker, evaluators=1)
    tasks = iter(["one", "two", "three"])
    talk.sessions.begin_evaluation(3, 500, lambda: next(tasks), talk.now_s)
    talk.flush()
    requests = [talk.all(broker, Pull)[-1].evaluation for broker in talk.brokers]
    none = PolicyVersion(0, 0)
    assert requests == [
        EvaluationRequest("one", 2, none, 500),
        EvaluationRequest("two", 1, none, 500),
    ]
    for broker, task in ((0, "one"), (1, "two"), (0, "earlier"), (0, "one")):
        talk.lease(broker, 10, purpose="evaluate", task=task)
    assert talk.sessions.evaluated_episodes == 3
    assert [batch.lease.task for batch in talk.sessions.end_evaluation()] == ["one", "two", "one"]
    talk.flush()
    assert talk.all(0, Pull)[-1].evaluation is None
    assert talk.all(0, Pull)[-1].confirmed == 3
