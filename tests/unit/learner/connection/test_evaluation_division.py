"""The division of an evaluation's episodes among brokers."""

from __future__ import annotations

from itertools import count
from typing import Any

from headrace.learner.connection.evaluation_division import EvaluationDivision
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Lease


def divided(episodes: int, evaluators: list[int | None]) -> EvaluationDivision:
    numbers = count(1)
    division = EvaluationDivision(episodes, len(evaluators), lambda: f"task-{next(numbers)}")
    division.divide(evaluators)
    return division


def arrive(division: EvaluationDivision, broker: int, **fields: Any) -> bool:
    request = division.requests[broker]
    assert request is not None
    known: dict[str, Any] = {
        "session": 1,
        "number": 1,
        "actor": "a",
        "incarnation": 1,
        "seq": 1,
        "version": PolicyVersion(1, 1),
        "env_steps": 1,
        "task": request.task,
    }
    return division.note_arrived(Lease(**{**known, **fields}))


def asked(division: EvaluationDivision) -> list[int]:
    return [request.episodes if request else 0 for request in division.requests]


def test_episodes_are_divided_by_the_number_of_evaluating_actors() -> None:
    assert asked(divided(8, [3, 1, 0])) == [6, 2, 0]
    assert asked(divided(1, [1, 1])) == [1, 0]
    assert asked(divided(3, [1, 1, 1, 1])) == [1, 1, 1, 0]


def test_the_only_broker_is_asked_before_it_has_an_evaluating_actor() -> None:
    assert asked(divided(3, [0])) == [3]
    assert asked(divided(3, [None])) == [3]


def test_several_brokers_are_asked_once_one_has_an_evaluating_actor() -> None:
    division = divided(3, [0, None])
    assert asked(division) == [0, 0]
    division.divide([0, 2])
    assert asked(division) == [0, 3]


def test_whole_episodes_are_counted_and_others_belong_to_them() -> None:
    division = divided(2, [1, 1])
    assert arrive(division, 0, more=True)
    assert division.finished == 0
    assert arrive(division, 0)
    assert division.finished == 1


def test_episodes_of_another_evaluation_are_not_counted() -> None:
    division = divided(2, [1, 1])
    assert not arrive(division, 0, task="earlier")
    assert division.finished == 0


def test_the_episodes_of_a_broker_that_is_gone_are_asked_of_the_others() -> None:
    division = divided(4, [1, 1])
    arrive(division, 1)
    arrive(division, 0)
    arrive(division, 0)
    division.divide([1, None])
    assert asked(division) == [1, 0]
    assert [request.task for request in division.requests if request] == ["task-3"]
    arrive(division, 0)
    assert division.finished == 4


def test_a_broker_with_a_request_is_asked_for_more_once_it_has_delivered() -> None:
    division = divided(4, [1, 1])
    division.divide([1, None])
    assert asked(division) == [2, 0]
    arrive(division, 0)
    arrive(division, 0)
    division.divide([1, None])
    assert asked(division) == [2, 0]
