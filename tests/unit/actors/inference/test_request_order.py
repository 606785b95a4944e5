"""Each turn of a thin simulator counts once, however often it is sent."""

from __future__ import annotations

import pytest

from headrace.actors.inference.request_order import RequestOrder
from headrace.protocol.errors import RejectCode

KEY = ("", "episode")


@pytest.fixture
def order() -> RequestOrder[str]:
    order: RequestOrder[str] = RequestOrder(max_episodes=2)
    order.open(KEY, "content", b"route", 0.0)
    order.advance(KEY)
    return order


def code_of(order: RequestOrder[str], turn: int, key: tuple[str, str] = KEY) -> RejectCode | None:
    fault = order.fault_of(key, turn)
    return fault[0] if fault is not None else None


def test_a_request_in_progress_is_repeated_and_has_no_answer_yet(order: RequestOrder[str]) -> None:
    assert order.is_repeated(KEY, 0)
    assert order.answer_to(KEY, 0) is None


def test_a_repeated_request_gets_the_same_answer(order: RequestOrder[str]) -> None:
    order.answer(KEY, [b"answer"])
    assert order.is_repeated(KEY, 0)
    assert order.answer_to(KEY, 0) == [b"answer"]


def test_the_next_turn_comes_after_an_answer(order: RequestOrder[str]) -> None:
    assert code_of(order, 1) is RejectCode.INVALID_TURN
    order.answer(KEY, [b"answer"])
    assert code_of(order, 1) is None
    assert code_of(order, 2) is RejectCode.INVALID_TURN


def test_a_turn_that_could_not_be_served_comes_next_again(order: RequestOrder[str]) -> None:
    order.answer(KEY, [b"answer"])
    order.advance(KEY)
    order.take_back(KEY)
    assert code_of(order, 1) is None


def test_an_unknown_episode_begins_at_turn_0(order: RequestOrder[str]) -> None:
    assert code_of(order, 0, ("", "other")) is None
    assert code_of(order, 3, ("", "other")) is RejectCode.UNKNOWN_EPISODE


def test_episodes_of_two_peers_may_have_one_name(order: RequestOrder[str]) -> None:
    assert order.get(("walker", "episode")) is None
    assert code_of(order, 0, ("walker", "episode")) is None


def test_no_more_than_the_maximum_are_open(order: RequestOrder[str]) -> None:
    order.open(("", "second"), "content", b"route", 0.0)
    assert code_of(order, 0, ("", "third")) is RejectCode.TOO_MUCH


def test_the_last_answer_of_an_ended_episode_is_remembered(order: RequestOrder[str]) -> None:
    order.end(KEY, [b"ended"])
    assert order.is_repeated(KEY, 1)
    assert order.answer_to(KEY, 1) == [b"ended"]


def test_an_episode_without_requests_is_silent_until_it_is_heard_again(
    order: RequestOrder[str],
) -> None:
    assert [key for key, _ in order.silent_since(1.0)] == [KEY]
    order.note_contact(KEY, b"another route", 2.0)
    assert list(order.silent_since(1.0)) == []
    assert order[KEY].route == b"another route"
