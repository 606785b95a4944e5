"""Rate limits, strikes and quarantine."""

from __future__ import annotations

import pytest

from headrace.broker.access.policing import Policer, PolicingLimits, Ruling


def judge_many(policer: Policer, count: int, now_s: float, size_bytes: int = 1) -> list[Ruling]:
    return [policer.take_message("a", size_bytes, now_s) for _ in range(count)]


def test_by_default_messages_are_not_limited() -> None:
    rulings = judge_many(Policer(PolicingLimits()), 10_000, 0.0, 10**9)
    assert set(rulings) == {Ruling.READ}


def test_messages_above_the_rate_are_dropped() -> None:
    policer = Policer(PolicingLimits(messages_per_s=10))
    assert judge_many(policer, 30, 0.0).count(Ruling.READ) == 20
    assert judge_many(policer, 30, 1.0).count(Ruling.READ) == 10
    assert judge_many(policer, 30, 100.0).count(Ruling.READ) == 20


def test_bytes_are_limited_on_average_whatever_the_size_of_one_message() -> None:
    policer = Policer(PolicingLimits(bytes_per_s=100))
    assert judge_many(policer, 3, 0.0, 1000).count(Ruling.READ) == 1
    read = sum(
        policer.take_message("a", 1000, float(second)) is Ruling.READ for second in range(1, 101)
    )
    assert read == pytest.approx(10, abs=1)


def test_subscriptions_are_rate_limited() -> None:
    policer = Policer(PolicingLimits(subscriptions_per_s=100))
    assert sum(policer.take_subscription("a", 0.0) for _ in range(1000)) == 200
    assert policer.take_subscription("a", 1.0)


def test_each_peer_has_limits_of_its_own() -> None:
    policer = Policer(PolicingLimits(messages_per_s=1))
    judge_many(policer, 10, 0.0)
    assert policer.take_message("b", 1, 0.0) is Ruling.READ


def test_too_many_strikes_quarantine_a_peer_for_longer_each_time() -> None:
    policer = Policer(PolicingLimits(strikes=3, quarantine_s=10))
    assert [policer.strike("a", 0.0) for _ in range(3)] == [False, False, True]
    assert policer.take_message("a", 1, 9.9) is Ruling.QUARANTINED
    assert policer.take_message("b", 1, 9.9) is Ruling.READ
    assert policer.take_message("a", 1, 10.0) is Ruling.READ
    assert [policer.strike("a", 10.0) for _ in range(3)] == [False, False, True]
    [status] = policer.quarantined(15.0)
    assert (status.name, status.left_s, status.times) == ("a", 15.0, 2)


def test_one_strike_is_forgiven_per_second() -> None:
    policer = Policer(PolicingLimits(strikes=3))
    assert not any(policer.strike("a", 1.0 * second) for second in range(1000))


def test_an_hour_of_silence_clears_a_peers_record() -> None:
    policer = Policer(PolicingLimits(strikes=1, quarantine_s=1))
    assert policer.strike("a", 0.0)
    policer.strike("a", 4000.0)
    assert policer.quarantined(4000.5)[0].times == 1
