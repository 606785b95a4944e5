from __future__ import annotations

from headrace.broker.state.evaluations import Evaluations
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    EvaluationRequest,
    EvaluationTask,
)

A, B, C = ("a", 1), ("b", 1), ("c", 1)
VERSION = PolicyVersion(1, 1)
REQUEST = EvaluationRequest("task", 3, VERSION)


class TestEvaluations:
    def test_each_idle_actor_gets_one_episode_at_a_time(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, REQUEST)
        assert evaluations.assign([A, B]) == [A, B]
        assert evaluations.assign([A, B]) == []
        assert evaluations.deliver(A, "task") == 9
        assert evaluations.assign([A, B]) == [A]
        assert evaluations.task_of(A) == EvaluationTask("task", 2, VERSION)

    def test_a_part_of_an_episode_does_not_count_as_one(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, EvaluationRequest("task", 1, VERSION))
        evaluations.assign([A])
        assert evaluations.deliver(A, "task", is_whole=False) == 9
        assert evaluations.task_of(A) is not None
        assert evaluations.deliver(A, "task") == 9
        assert evaluations.task_of(A) is None

    def test_no_more_episodes_are_assigned_than_requested(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, EvaluationRequest("task", 1, VERSION))
        assert evaluations.assign([A, B]) == [A]
        assert evaluations.deliver(A, "task") == 9
        assert evaluations.assign([A, B]) == []
        assert not evaluations.has_open
        assert evaluations.task_of(A) is None

    def test_a_repeated_request_changes_nothing_and_another_task_starts_over(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, REQUEST)
        evaluations.assign([A])
        evaluations.request(9, REQUEST)
        assert evaluations.task_of(A) is not None
        evaluations.request(9, EvaluationRequest("other", 1, VERSION))
        assert evaluations.task_of(A) is None
        assert evaluations.deliver(A, "task") is None

    def test_the_episode_of_an_actor_that_left_goes_to_another(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, EvaluationRequest("task", 1, VERSION))
        evaluations.assign([A])
        evaluations.leave(A)
        assert evaluations.assign([B]) == [B]
        assert evaluations.deliver(A, "task") is None

    def test_an_actor_that_falls_silent_and_returns_is_given_another_episode(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, EvaluationRequest("task", 1, VERSION))
        evaluations.assign([A])
        evaluations.leave(A)
        assert evaluations.deliver(A, "task") is None
        assert evaluations.assign([A]) == [A]
        assert evaluations.task_of(A) == EvaluationTask("task", 2, VERSION)
        assert evaluations.deliver(A, "task") == 9
        assert not evaluations.has_open

    def test_several_requests_share_the_actors(self) -> None:
        evaluations = Evaluations()
        evaluations.request(9, EvaluationRequest("one", 1, VERSION))
        evaluations.request(8, EvaluationRequest("two", 1, VERSION))
        assert evaluations.assign([A, B, C]) == [A, B]
        assert evaluations.deliver(B, "two") == 8
