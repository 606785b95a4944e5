"""Sums over the actors are those that counting all of them gives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.broker.state.actor_record import ActorRecord
from headrace.broker.state.fleet import Fleet
from headrace.broker.state.fleet_totals import Counts, FleetTotals, counts_of
from headrace.protocol.delivery import Outcome, Receiver, Verdict
from headrace.protocol.messages import Hello, Ledger


def make_record(actor: str, *, evaluates: bool = False) -> ActorRecord:
    hello = Hello(actor=actor, incarnation=1, evaluates=evaluates)
    return ActorRecord((actor, 1), Receiver(), hello, 0.0)


def test_only_touched_records_are_looked_at() -> None:
    totals, record = FleetTotals(), make_record("a", evaluates=True)
    totals.touch(record)
    assert (totals.sums.live, totals.sums.evaluating) == (1, 1)
    record.is_live = False
    assert totals.sums.live == 1
    totals.touch(record)
    assert (totals.sums.live, totals.sums.evaluating) == (0, 0)


def test_an_actor_that_leaves_is_taken_out() -> None:
    totals, record = FleetTotals(), make_record("a")
    totals.touch(record)
    assert totals.sums.live == 1
    totals.touch(record)
    totals.remove(record)
    assert totals.sums == Counts()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_the_ledger_is_that_of_all_actors(seed: int) -> None:
    rng = random.Random(seed)
    fleet = Fleet()
    for _ in range(120):
        actor = rng.choice("abc")
        match rng.choice(["join", "arrive", "finish", "report", "forget", "end"]):
            case "join":
                fleet.admit(Hello(actor=actor, incarnation=rng.randrange(1, 4)), 0.0)
            case "forget":
                fleet.forget(actor)
            case "end":
                fleet.end(actor)
            case what:
                record = fleet.current((actor, rng.randrange(1, 4)))
                if record is not None:
                    _change(record, what, rng)
        assert fleet.ledger(0) == _counted(fleet)


def _change(record: ActorRecord, what: str, rng: random.Random) -> None:
    receiver = record.receiver
    if what == "report":
        record.last_seq += rng.randrange(3)
    elif what == "arrive":
        assert receiver.arrive(receiver.accepted + 1) is Verdict.ACCEPTED
    elif receiver.unfinished:
        seqs = range(receiver.acknowledged + 1, receiver.accepted + 1)
        record.finish(next(seq for seq in seqs if receiver.is_open(seq)), rng.choice(list(Outcome)))


def _counted(fleet: Fleet) -> Ledger:
    """Returns the ledger as counting every record gives it, with what has left as it was."""
    again = Fleet()
    vars(again).update(vars(fleet) | {"_totals": FleetTotals()})
    for record in again:
        again.touch(record)
    return again.ledger(0)


def test_a_superseded_actor_is_not_counted_among_the_live_ones() -> None:
    fleet = Fleet()
    first, _ = fleet.admit(Hello(actor="a", incarnation=1), 0.0)
    fleet.admit(Hello(actor="a", incarnation=2), 0.0)
    fleet.touch(first)
    assert fleet.totals.live == 1


@pytest.mark.parametrize("outcome", [Outcome.CONSUMED, Outcome.STORED])
def test_stored_batches_are_counted_elsewhere(outcome: Outcome) -> None:
    record = make_record("a")
    record.receiver.arrive(1)
    record.finish(1, outcome)
    assert counts_of(record).produced == (outcome is Outcome.CONSUMED)
