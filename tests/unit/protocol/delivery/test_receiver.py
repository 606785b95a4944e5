from __future__ import annotations

import pytest

from headrace.protocol.delivery import Outcome, Receiver, Verdict
from headrace.protocol.errors import LocalProtocolError, RemoteProtocolError
from headrace.protocol.messages import Totals


class TestReceiver:
    def test_batches_are_accepted_in_order_only(self) -> None:
        receiver = Receiver()
        assert receiver.arrive(2) is Verdict.GAP
        assert receiver.arrive(1) is Verdict.ACCEPTED
        assert receiver.arrive(1) is Verdict.DUPLICATE
        assert receiver.arrive(2) is Verdict.ACCEPTED

    def test_one_gap_is_answered_once(self) -> None:
        receiver = Receiver()
        assert [receiver.arrive(seq) for seq in (2, 2, 3)] == [
            Verdict.GAP,
            Verdict.REPEATED_GAP,
            Verdict.REPEATED_GAP,
        ]
        receiver.arrive(1)
        assert receiver.arrive(3) is Verdict.GAP

    def test_acknowledged_follows_the_oldest_open_batch(self) -> None:
        receiver = Receiver()
        for seq in (1, 2, 3):
            receiver.arrive(seq)
        receiver.finish(2, Outcome.REJECTED)
        assert (receiver.acknowledged, receiver.unfinished) == (0, 2)
        assert receiver.ended_as(Outcome.REJECTED) == 1
        receiver.finish(1, Outcome.CONSUMED)
        assert receiver.acknowledged == 2
        assert receiver.totals == Totals(consumed=1, rejected=1)

    @pytest.mark.parametrize("seq", [0, 1, 3])
    def test_only_an_open_batch_can_end(self, seq: int) -> None:
        receiver = Receiver()
        receiver.arrive(1)
        receiver.arrive(2)
        receiver.finish(1, Outcome.STALE)
        with pytest.raises(LocalProtocolError):
            receiver.finish(seq, Outcome.CONSUMED)

    def test_a_new_broker_continues_from_the_actors_counts(self) -> None:
        receiver = Receiver(3, Totals(consumed=2, stale=1))
        assert receiver.arrive(4) is Verdict.ACCEPTED
        receiver.finish(4, Outcome.CONSUMED)
        assert receiver.totals == Totals(consumed=3, stale=1)

    def test_counts_that_do_not_add_up_are_a_remote_error(self) -> None:
        with pytest.raises(RemoteProtocolError):
            Receiver(3, Totals(consumed=1))

    def test_a_learners_mark_ends_batches_whether_they_arrived_or_not(self) -> None:
        receiver = Receiver()
        for seq in (1, 2, 3):
            receiver.arrive(seq)
        receiver.finish(2, Outcome.REJECTED)
        assert receiver.apply_mark(5) == [1, 3]
        assert (receiver.accepted, receiver.acknowledged) == (5, 5)
        assert receiver.totals == Totals(consumed=4, rejected=1)

    def test_confirmed_batches_need_not_arrive_but_the_others_must(self) -> None:
        receiver = Receiver()
        receiver.arrive(1)
        assert receiver.apply_mark(0, [1, 3, 4, 6]) == [1]
        assert (receiver.accepted, receiver.acknowledged) == (1, 1)
        assert receiver.arrive(3) is Verdict.GAP
        assert receiver.arrive(2) is Verdict.ACCEPTED
        assert (receiver.accepted, receiver.acknowledged) == (4, 1)
        assert receiver.arrive(4) is Verdict.DUPLICATE
        receiver.finish(2, Outcome.CONSUMED)
        assert receiver.arrive(5) is Verdict.ACCEPTED
        assert (receiver.accepted, receiver.acknowledged) == (6, 4)
        receiver.finish(5, Outcome.STALE)
        assert receiver.totals == Totals(consumed=5, stale=1)

    def test_counts_ahead_of_confirmed_batches_count_each_batch_once(self) -> None:
        receiver = Receiver()
        receiver.apply_mark(0, [2, 4])
        receiver.adopt_counts(3, Totals(consumed=3))
        assert (receiver.accepted, receiver.acknowledged) == (4, 4)
        assert receiver.totals == Totals(consumed=4)

    def test_counts_that_are_ahead_are_adopted(self) -> None:
        receiver = Receiver()
        for seq in (1, 2, 3, 4):
            receiver.arrive(seq)
        receiver.finish(3, Outcome.STALE)
        assert receiver.adopt_counts(2, Totals(consumed=2)) == [1, 2]
        assert (receiver.acknowledged, receiver.accepted) == (3, 4)
        assert receiver.totals == Totals(consumed=2, stale=1)
        assert receiver.adopt_counts(1, Totals(consumed=1)) == []

    def test_counts_may_be_ahead_of_every_batch_that_arrived(self) -> None:
        receiver = Receiver()
        receiver.arrive(1)
        assert receiver.adopt_counts(7, Totals(consumed=7)) == [1]
        assert (receiver.acknowledged, receiver.accepted) == (7, 7)
        assert receiver.arrive(8) is Verdict.ACCEPTED
