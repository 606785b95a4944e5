"""The status is made without holding up the loop, however many actors there are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import pytest
from support.conversation import FakeFleet

from headrace.broker.config import RouterConfig
from headrace.broker.monitoring.status_reader import StatusReader
from headrace.broker.routing.router import Router

Answer = TypeVar("Answer")
MANY = 600


class AnsweringLoop:
    """Answers at once, and counts the actors that each question copies."""

    def __init__(self, fleet: FakeFleet) -> None:
        self.fleet = fleet
        self.copied: list[int] = []

    def ask(self, question: Callable[[Router, float], Answer]) -> Future[Answer]:
        answer: Future[Answer] = Future()
        found = question(self.fleet.router, self.fleet.now_s)
        if isinstance(found, list) and found and isinstance(found[0], tuple):
            self.copied.append(len(found))
        answer.set_result(found)
        return answer


@pytest.fixture
def loop() -> AnsweringLoop:
    fleet = FakeFleet(Router(RouterConfig(), incarnation=77, now_s=0.0))
    for number in range(MANY):
        fleet.join(f"a{number:03}")
    return AnsweringLoop(fleet)


@pytest.fixture
def reader(loop: AnsweringLoop) -> StatusReader:
    return StatusReader(loop, lambda: loop.fleet.now_s)


def test_the_summary_counts_actors_and_lists_none(
    loop: AnsweringLoop, reader: StatusReader
) -> None:
    summary = reader.summary()
    assert (summary.live_actors, summary.silent_actors, summary.actors) == (MANY, 0, [])
    assert loop.copied == []


def test_pages_follow_one_another_in_the_order_of_ids(reader: StatusReader) -> None:
    first = reader.page(limit=400)
    assert [first.actors[0].actor, first.more_after] == ["a000", "a399"]
    second = reader.page(after="a399", limit=400)
    assert [actor.actor for actor in second.actors] == [f"a{n}" for n in range(400, MANY)]
    assert second.more_after is None
    assert reader.page(limit=0).actors == []


def test_the_loop_copies_few_actors_at_a_time(loop: AnsweringLoop, reader: StatusReader) -> None:
    reader.page()
    assert sum(loop.copied) == MANY
    assert max(loop.copied) <= 256


def test_the_list_is_made_once_a_second(loop: AnsweringLoop, reader: StatusReader) -> None:
    reader.page()
    loop.fleet.join("another")
    loop.fleet.now_s += 0.9
    assert len(reader.page().actors) == MANY
    loop.fleet.now_s += 0.2
    assert len(reader.page().actors) == MANY + 1


def test_an_actor_that_leaves_while_others_are_copied_is_left_out(loop: AnsweringLoop) -> None:
    router = loop.fleet.router
    actors = router.actors
    loop.fleet.goodbye("a007")
    assert len(router.snapshots_of(actors, 0.0)) == MANY - 1


def test_a_loop_that_does_not_answer_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    class DeadLoop:
        def ask(self, question: Callable[[Router, float], Answer]) -> Future[Answer]:
            return Future()

    monkeypatch.setattr("headrace.broker.monitoring.status_reader._TIMEOUT_S", 0.01)
    with pytest.raises(TimeoutError):
        StatusReader(DeadLoop(), lambda: 0.0).summary()
