from __future__ import annotations

import random

import pytest

from headrace.protocol.delivery import ResendPolicy, Sender
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Credit, Delivery, Totals

V0, V1 = PolicyVersion(1, 0), PolicyVersion(1, 1)


EXACT = ResendPolicy(first_s=2.0, longest_s=5.0, jitter=0.0)


def make_sender() -> Sender[str]:
    return Sender(random.Random(0), EXACT)


def make_credit(up_to: int, min_version: PolicyVersion = V0) -> Credit:
    return Credit(up_to=up_to, fragment_steps=10, fragment_s=1.0, min_version=min_version)


def deliver(
    sender: Sender[str],
    accepted: int = 0,
    acknowledged: int = 0,
    *,
    broker: int = 1,
    credit: Credit | None = None,
    gap: bool = False,
    accepts: bool = True,
    now_s: float = 0.0,
) -> None:
    totals = Totals(consumed=acknowledged)
    message = Delivery(
        broker=broker,
        incarnation=1,
        accepted=accepted,
        acknowledged=acknowledged,
        totals=totals,
        credit=credit,
        gap=gap,
        accepts=accepts,
    )
    sender.receive(message, now_s)


def transmit(sender: Sender[str], now_s: float = 0.0) -> list[tuple[int, bool]]:
    sent: list[tuple[int, bool]] = []
    while (due := sender.next_due(now_s)) is not None:
        sender.mark_sent(due.seq, now_s)
        sent.append((due.seq, due.sent_before))
    return sent


class TestSender:
    def test_without_credit_no_batch_may_begin(self) -> None:
        assert not make_sender().may_begin(V1)

    def test_credit_lets_batches_begin_up_to_its_number(self) -> None:
        sender = make_sender()
        deliver(sender, credit=make_credit(1))
        assert sender.may_begin(V0)
        sender.enter("first")
        assert not sender.may_begin(V0)

    def test_credit_waits_for_the_weights_it_was_granted_for(self) -> None:
        sender = make_sender()
        deliver(sender, credit=make_credit(1, V1))
        assert not sender.may_begin(V0)
        assert sender.may_begin(V1)

    def test_a_late_copy_of_an_older_grant_takes_nothing_back(self) -> None:
        sender = make_sender()
        deliver(sender, credit=make_credit(3, V1))
        deliver(sender, credit=make_credit(2, V0))
        assert sender.credit == make_credit(3, V1)

    def test_each_batch_is_transmitted_once_in_order(self) -> None:
        sender = make_sender()
        for item in "abc":
            sender.enter(item)
        assert transmit(sender) == [(1, False), (2, False), (3, False)]
        assert transmit(sender) == []

    def test_unaccepted_batches_are_resent_after_growing_waits(self) -> None:
        sender = make_sender()
        sender.enter("a")
        transmit(sender, 0.0)
        assert transmit(sender, 1.9) == []
        assert transmit(sender, 2.0) == [(1, True)]
        assert transmit(sender, 5.9) == []
        assert transmit(sender, 6.0) == [(1, True)]
        assert sender.next_event_at_s == 11.0  # the longest wait

    def test_accepted_batches_are_not_resent(self) -> None:
        sender = make_sender()
        for item in "abc":
            sender.enter(item)
        transmit(sender)
        deliver(sender, accepted=2)
        assert transmit(sender, 10.0) == [(3, True)]
        deliver(sender, accepted=3)
        assert sender.next_event_at_s == float("inf")

    def test_a_gap_answer_resends_at_once(self) -> None:
        sender = make_sender()
        deliver(sender)
        for item in "ab":
            sender.enter(item)
        transmit(sender)
        deliver(sender, gap=True)
        deliver(sender, gap=True)
        assert transmit(sender) == [(1, True), (2, True)]

    def test_a_gap_answer_with_nothing_under_way_changes_nothing(self) -> None:
        sender = make_sender()
        deliver(sender, gap=True)
        deliver(sender, gap=True)
        assert transmit(sender) == []

    def test_acknowledged_batches_free_their_memory(self) -> None:
        sender = make_sender()
        for item in "abc":
            sender.enter(item)
        transmit(sender)
        deliver(sender, accepted=3, acknowledged=2)
        assert (sender.held, sender.acknowledged) == (1, 2)
        assert sender.totals == Totals(consumed=2)

    def test_a_new_broker_gets_the_batches_it_lacks_and_voids_the_old_credit(self) -> None:
        sender = make_sender()
        deliver(sender, credit=make_credit(5))
        for item in "abc":
            sender.enter(item)
        transmit(sender)
        deliver(sender, accepted=3, acknowledged=1)
        deliver(sender, accepted=1, acknowledged=1, broker=2)
        assert sender.credit is None
        assert sender.broker == 2
        assert transmit(sender) == [(2, True), (3, True)]

    def test_a_new_broker_never_moves_the_sender_below_freed_batches(self) -> None:
        sender = make_sender()
        for item in "ab":
            sender.enter(item)
        transmit(sender)
        deliver(sender, accepted=2, acknowledged=2)
        deliver(sender, accepted=0, acknowledged=0, broker=2)
        assert sender.accepted == 2
        assert transmit(sender, 100.0) == []

    @pytest.mark.parametrize(("accepted", "acknowledged"), [(1, 0), (0, 1)])
    def test_a_delivery_that_claims_too_much_is_a_remote_error(
        self, accepted: int, acknowledged: int
    ) -> None:
        with pytest.raises(RemoteProtocolError):
            deliver(make_sender(), accepted=accepted, acknowledged=acknowledged)


def test_after_a_lost_connection_nothing_is_sent_until_the_next_delivery() -> None:
    sender = make_sender()
    deliver(sender)
    for item in "abc":
        sender.enter(item)
    transmit(sender)
    sender.lose_connection()
    sender.enter("d")
    assert transmit(sender, now_s=60.0) == []
    assert sender.next_event_at_s == float("inf")
    deliver(sender, accepted=2, now_s=61.0)
    assert transmit(sender, now_s=61.0) == [(3, True), (4, False)]


def test_nothing_is_sent_while_the_broker_does_not_accept() -> None:
    sender = make_sender()
    sender.enter("a")
    deliver(sender, accepts=False)
    assert transmit(sender, now_s=60.0) == []
    deliver(sender, accepts=True, now_s=61.0)
    assert transmit(sender, now_s=61.0) == [(1, False)]
    deliver(sender, accepts=False, now_s=62.0)
    assert transmit(sender, now_s=99.0) == []
    deliver(sender, accepts=True, now_s=100.0)
    assert transmit(sender, now_s=100.0) == [(1, True)], "it was not accepted when it arrived"


def test_a_sender_reports_how_much_it_holds_and_which_broker_spoke_last() -> None:
    sender = make_sender()
    sender.enter("a")
    assert (sender.held, sender.broker) == (1, None)


def test_accepting_a_batch_restarts_the_timeout_of_the_others() -> None:
    sender = make_sender()
    deliver(sender)
    for item in "abc":
        sender.enter(item)
    transmit(sender)
    deliver(sender, accepted=1, now_s=1.5)
    assert sender.next_event_at_s == 3.5
