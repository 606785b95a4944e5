"""The order of batches, as the referee of the chaos scenarios sees it."""

from __future__ import annotations

from itertools import count

from chaos.diary import Entry
from chaos.referee import Findings, Referee

ACTOR, LIFE = 0, 0


def judge(*events: tuple[object, ...]) -> Findings:
    """Returns what the referee finds in events, one after another."""
    referee, clock = Referee(), count()
    referee.read(Entry(float(next(clock)), str(kind), tuple(fields)) for kind, *fields in events)
    return referee.findings()


def sent(*numbers: int) -> list[tuple[object, ...]]:
    """Returns what an actor notes of batches."""
    return [(k, ACTOR, LIFE, n) for n in numbers for k in ("produced", "transmitted")]


def handed(worker: int, number: int, attempt: int = 1) -> tuple[object, ...]:
    """Returns what a learner notes of a batch."""
    return ("handed", worker, 0, 1, ACTOR, LIFE, number, attempt)


def test_batches_out_of_order_are_a_violation() -> None:
    found = judge(*sent(1, 2), handed(0, 2), handed(0, 1))
    assert found.out_of_order == 1
    assert found.violations == ["1 batches were out of order"]


def test_what_another_learner_was_to_get_from_a_broker_that_died_may_come_late() -> None:
    death = ("fault", "kill", "broker.0")
    found = judge(*sent(1, 2, 3), handed(1, 1), handed(0, 3), death, handed(0, 2))
    assert (found.out_of_order, found.late_after_death) == (0, 1)
    assert not found.violations


def test_it_may_come_late_too_where_a_journal_had_answered_for_it() -> None:
    death, stored = ("fault", "kill", "broker.0"), ("acknowledged", 0, 0, 3)
    found = judge(*sent(1, 2, 3), stored, handed(1, 1), handed(0, 3), death, handed(0, 2))
    assert (found.out_of_order, found.late_after_death) == (0, 1)


def test_a_death_of_the_broker_explains_nothing_where_there_is_one_learner() -> None:
    death = ("fault", "kill", "broker.0")
    assert judge(*sent(1, 2), handed(0, 2), death, handed(0, 1)).out_of_order == 1


def test_a_death_of_the_broker_explains_nothing_that_was_sent_after_it() -> None:
    death = ("fault", "kill", "broker.0")
    events = [*sent(1), handed(1, 1), death, *sent(2, 3), handed(0, 3), handed(0, 2)]
    assert judge(*events).out_of_order == 1
