"""Sender and Receiver as a pair, over a network that loses, repeats and reorders.

Behind the receiver, learners take batches without knowing which ones the others took, and remember
their own, as learner sessions do. The batches taken are compared with the batches produced.
"""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headrace.protocol.delivery import Outcome, Receiver, ResendPolicy, Sender, Verdict
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Credit, Delivery, Totals

VERSION = PolicyVersion(1, 0)
WINDOW = 4


class Broker:
    """One broker incarnation: a receiver, and the batches that wait or are leased."""

    def __init__(
        self, incarnation: int, acknowledged: int, totals: Totals, ended: int, taken: set[int]
    ) -> None:
        self.incarnation = incarnation
        self.receiver = Receiver(acknowledged, totals)
        self.waiting: list[int] = []
        self.leased: list[int] = []
        self.forget(self.receiver.apply_mark(ended, taken))

    def forget(self, seqs: list[int]) -> None:
        self.waiting = [seq for seq in self.waiting if seq not in seqs]
        self.leased = [seq for seq in self.leased if seq not in seqs]

    def delivery(self, incarnation: int, *, gap: bool = False) -> Delivery:
        receiver = self.receiver
        return Delivery(
            broker=self.incarnation,
            incarnation=incarnation,
            accepted=receiver.accepted,
            acknowledged=receiver.acknowledged,
            totals=receiver.totals,
            credit=Credit(receiver.accepted + WINDOW, 10, 1.0, VERSION),
            gap=gap,
        )


class DeliveryMachine(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.incarnation = 1
        self.brokers = 1
        self.to_broker: list[tuple[int, int]] = []
        self.to_actor: list[Delivery] = []
        self.trained: list[tuple[int, int]] = []
        self.rejected: list[tuple[int, int]] = []
        self.ended = 0
        self.taken: set[int] = set()
        self.produced = 0
        self.seen = (0, 0)
        self._new_sender()
        self.broker = Broker(1, 0, Totals(), 0, set())

    def _new_sender(self) -> None:
        self.sender: Sender[int] = Sender(self.rng, ResendPolicy(1.0, 4.0, 0.5))

    # ---------------------------------------------------------------- the actor

    @rule()
    def produce(self) -> None:
        if self.sender.may_begin(VERSION):
            self.produced += 1
            self.sender.enter(self.produced)

    @rule(limit=st.integers(1, 5))
    def transmit(self, limit: int) -> None:
        for _ in range(limit):
            due = self.sender.next_due(self.now_s)
            if due is None:
                return
            self.sender.mark_sent(due.seq, self.now_s)
            self.to_broker.append((self.incarnation, due.seq))

    @rule(seconds=st.floats(0.1, 5.0))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def say_alive(self) -> None:
        receiver = self.broker.receiver
        self.broker.forget(receiver.adopt_counts(self.sender.acknowledged, self.sender.totals))
        self.to_actor.append(self.broker.delivery(self.incarnation))

    # ---------------------------------------------------------------- the network

    @rule(data=st.data())
    def arrive_at_the_broker(self, data: st.DataObject) -> None:
        if not self.to_broker:
            return
        index = data.draw(st.integers(0, len(self.to_broker) - 1))
        incarnation, seq = self.to_broker.pop(index)
        if incarnation != self.incarnation:
            return
        receiver = self.broker.receiver
        verdict = receiver.arrive(seq)
        if verdict is Verdict.ACCEPTED:
            self.broker.waiting.append(seq)
        if verdict is not Verdict.REPEATED_GAP:
            is_gap = verdict is Verdict.GAP
            self.to_actor.append(self.broker.delivery(self.incarnation, gap=is_gap))

    @rule(data=st.data())
    def arrive_at_the_actor(self, data: st.DataObject) -> None:
        if not self.to_actor:
            return
        delivery = self.to_actor.pop(data.draw(st.integers(0, len(self.to_actor) - 1)))
        is_old_broker = delivery.broker != self.broker.incarnation
        if delivery.incarnation == self.incarnation and not is_old_broker:
            self.sender.receive(delivery, self.now_s)

    @rule(data=st.data())
    def lose_or_repeat(self, data: st.DataObject) -> None:
        for queue in (self.to_broker, self.to_actor):
            if queue:
                index = data.draw(st.integers(0, len(queue) - 1))
                if data.draw(st.booleans()):
                    queue.pop(index)
                else:
                    queue.append(queue[index])  # type: ignore[arg-type]

    # ---------------------------------------------------------------- the learner

    @rule(place=st.integers(0, 2))
    def lease(self, place: int = 0) -> None:
        """Leases to one of several learners: an earlier batch may be under way to another."""
        if self.broker.waiting:
            seq = self.broker.waiting.pop(min(place, len(self.broker.waiting) - 1))
            self.broker.leased.append(seq)
            self.ended = max(self.ended, self.broker.receiver.acknowledged)
            if seq > self.ended and seq not in self.taken:
                self.taken.add(seq)
                self.trained.append((self.incarnation, seq))

    @rule()
    def confirm(self) -> None:
        for seq in self.broker.leased:
            self.broker.receiver.finish(seq, Outcome.CONSUMED)
        self.broker.leased = []
        self.to_actor.append(self.broker.delivery(self.incarnation))

    @rule()
    def reject(self) -> None:
        if self.broker.waiting:
            seq = self.broker.waiting.pop()
            self.broker.receiver.finish(seq, Outcome.REJECTED)
            self.rejected.append((self.incarnation, seq))

    # ---------------------------------------------------------------- restarts

    @rule()
    def restart_the_broker(self) -> None:
        """Loses its queue; it continues from the actor's hello and the learner's marks."""
        self.brokers += 1
        books = (self.sender.acknowledged, self.sender.totals)
        self.broker = Broker(self.brokers, *books, self.ended, self.taken)
        self.to_actor.append(self.broker.delivery(self.incarnation))

    @rule()
    def restart_the_actor(self) -> None:
        """Loses its undelivered batches; the broker keeps those that it accepted."""
        self.incarnation += 1
        self.ended = 0
        self.taken = set()
        self.seen = (0, 0)
        self._new_sender()
        self.broker = Broker(self.broker.incarnation, 0, Totals(), 0, set())

    @rule()
    def lose_the_connection(self) -> None:
        """Loses the batches under way; the next delivery state reports those that arrived."""
        self.to_broker.clear()
        self.sender.lose_connection()
        self.say_alive()

    # ---------------------------------------------------------------- what must hold

    @invariant()
    def nothing_is_trained_twice(self) -> None:
        if not hasattr(self, "trained"):
            return
        assert len(self.trained) == len(set(self.trained))
        assert not set(self.trained) & set(self.rejected) or self.brokers > 1

    @invariant()
    def the_numbers_are_ordered_and_never_go_back(self) -> None:
        if not hasattr(self, "sender"):
            return
        sender = self.sender
        assert sender.acknowledged <= sender.accepted <= sender.last_seq
        assert sender.held == sender.last_seq - sender.acknowledged
        totals = sender.totals
        assert totals.consumed + totals.rejected == sender.acknowledged
        acknowledged, last_seq = self.seen
        assert sender.acknowledged >= acknowledged
        assert sender.last_seq >= last_seq
        self.seen = (sender.acknowledged, sender.last_seq)

    def teardown(self) -> None:
        """Once the network works again, every held batch gets through."""
        if not hasattr(self, "sender"):
            return
        self.to_broker.clear()
        self.to_actor.clear()
        for _ in range(200):
            if self.sender.acknowledged == self.sender.last_seq:
                break
            self._round_trip()
        assert self.sender.acknowledged == self.sender.last_seq
        assert self.sender.held == 0
        self.nothing_is_trained_twice()
        ended = {seq for life, seq in self.trained + self.rejected if life == self.incarnation}
        assert ended == set(range(1, self.sender.last_seq + 1)), "some batches were lost"

    def _round_trip(self) -> None:
        self.say_alive()
        self.wait(1.0)
        self.transmit(100)
        for _, seq in self.to_broker:
            if self.broker.receiver.arrive(seq) is Verdict.ACCEPTED:
                self.broker.waiting.append(seq)
        self.to_broker.clear()
        while self.broker.waiting:
            self.lease()
        self.confirm()
        for delivery in self.to_actor:
            self.sender.receive(delivery, self.now_s)
        self.to_actor.clear()


TestDelivery = DeliveryMachine.TestCase
TestDelivery.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, print_blob=True
)
