"""What a learner asks of each broker at present."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.learner.connection.demand import Demand


def test_what_is_asked_is_divided_by_the_shares() -> None:
    demand = Demand(3)
    assert demand.ask(1000, [0.5, 0.3, 0.2]) == [500, 300, 200]
    assert demand.ask(1000, [0.5, 0.3, 0.2]) == [0, 0, 0]


def test_what_rounding_takes_from_a_broker_it_is_asked_for_later() -> None:
    demand, given = Demand(3), [0, 0, 0]
    for _ in range(100):
        for broker, part in enumerate(demand.ask(1, [0.5, 0.3, 0.2])):
            given[broker] += part
            demand.note_delivered(broker, part)
    assert given == pytest.approx([50, 30, 20], abs=1)


def test_what_one_broker_delivers_beyond_its_part_is_not_asked_of_the_others() -> None:
    demand = Demand(2)
    demand.ask(100, [0.5, 0.5])
    demand.note_delivered(0, 60)
    demand.ask(40, [0.5, 0.5])
    assert demand.asked == [0, 40]


def test_a_broker_that_has_delivered_takes_over_half_of_what_another_does_not_have() -> None:
    demand = Demand(2)
    demand.ask(100, [0.5, 0.5])
    demand.take_over([0, 0])
    assert demand.asked == [50, 50], "none has delivered anything yet"
    demand.note_delivered(0, 50)
    demand.take_over([0, 20])
    assert demand.asked == [15, 35]


def test_nothing_is_taken_over_that_a_broker_has_ready_or_has_not_answered_about() -> None:
    demand = Demand(3)
    demand.ask(90, [1 / 3, 1 / 3, 1 / 3])
    demand.note_delivered(0, 30)
    demand.take_over([0, 30, sys.maxsize])
    assert demand.asked == [0, 30, 30]


def test_the_last_step_does_not_wait_for_a_broker_that_delivers_nothing() -> None:
    demand = Demand(2)
    demand.ask(8, [0.5, 0.5])
    for _ in range(10):
        demand.note_delivered(0, demand.asked[0])
        demand.take_over([0, 0])
    assert demand.asked == [0, 0]


def test_a_new_request_takes_nothing_over_for_the_deliveries_of_the_last_one() -> None:
    demand = Demand(2)
    demand.ask(100, [0.5, 0.5])
    demand.note_delivered(0, 50)
    demand.begin()
    demand.take_over([0, 0])
    assert demand.asked == [0, 50]


def test_a_broker_that_is_gone_owes_nothing() -> None:
    demand = Demand(2)
    demand.ask(100, [0.5, 0.5])
    demand.release(1)
    demand.ask(100, [1.0, 0.0])
    assert demand.asked == [100, 0]


def test_late_brokers_do_not_pass_steps_around() -> None:
    demand = Demand(3)
    demand.ask(30, [1 / 3, 1 / 3, 1 / 3])
    demand.note_delivered(0, 10)
    demand.note_delivered(1, 10)
    seen = set()
    for _ in range(20):
        demand.take_over([0, 0, 0])
        seen.add(tuple(demand.asked))
    assert len(seen) <= 2


@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_the_parts_always_add_up(seed: int) -> None:
    rng = random.Random(seed)
    demand = Demand(4)
    for _ in range(40):
        weights = [rng.choice([0.0, rng.random()]) for _ in range(3)] + [rng.random()]
        shares = [weight / sum(weights) for weight in weights]
        wanted = rng.randrange(200)
        demand.ask(wanted, shares)
        assert sum(demand.asked) == wanted
        assert min(demand.asked) >= 0
        demand.note_delivered(rng.randrange(4), rng.randrange(80))
        demand.take_over([rng.randrange(40) for _ in range(4)])
