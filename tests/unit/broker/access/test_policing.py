"""What is held against a peer, and for how long."""

from __future__ import annotations

import pytest

from headrace.broker.access.policing import Conduct, ConductLimits, Ruling


def judge_many(conduct: Conduct, count: int, now_s: float, size_bytes: int = 1) -> list[Ruling]:
    return [conduct.judge("a", size_bytes, now_s) for _ in range(count)]


def test_by_default_a_peer_may_send_what_it_likes() -> None:
    rulings = judge_many(Conduct(ConductLimits()), 10_000, 0.0, 10**9)
    assert set(rulings) == {Ruling.READ}


def test_more_messages_than_allowed_are_dropped_until_time_has_passed() -> None:
    conduct = Conduct(ConductLimits(messages_per_s=10))
    assert judge_many(conduct, 30, 0.0).count(Ruling.READ) == 20
    assert judge_many(conduct, 30, 1.0).count(Ruling.READ) == 10
    assert judge_many(conduct, 30, 100.0).count(Ruling.READ) == 20


def test_bytes_are_limited_on_average_whatever_the_size_of_one_message() -> None:
    conduct = Conduct(ConductLimits(bytes_per_s=100))
    assert judge_many(conduct, 3, 0.0, 1000).count(Ruling.READ) == 1
    read = sum(conduct.judge("a", 1000, float(second)) is Ruling.READ for second in range(1, 101))
    assert read == pytest.approx(10, abs=1)


def test_subscriptions_come_no_faster_than_a_fleet_needs() -> None:
    conduct = Conduct(ConductLimits(subscriptions_per_s=100))
    assert sum(conduct.may_subscribe("a", 0.0) for _ in range(1000)) == 200
    assert conduct.may_subscribe("a", 1.0)


def test_one_peer_does_not_use_up_what_another_may_send() -> None:
    conduct = Conduct(ConductLimits(messages_per_s=1))
    judge_many(conduct, 10, 0.0)
    assert conduct.judge("b", 1, 0.0) is Ruling.READ


def test_too_many_strikes_put_a_peer_into_quarantine_longer_each_time() -> None:
    conduct = Conduct(ConductLimits(strikes=3, quarantine_s=10))
    assert [conduct.strike("a", 0.0) for _ in range(3)] == [False, False, True]
    assert conduct.judge("a", 1, 9.9) is Ruling.QUARANTINED
    assert conduct.judge("b", 1, 9.9) is Ruling.READ
    assert conduct.judge("a", 1, 10.0) is Ruling.READ
    assert [conduct.strike("a", 10.0) for _ in range(3)] == [False, False, True]
    [status] = conduct.quarantined(15.0)
    assert (status.name, status.left_s, status.times) == ("a", 15.0, 2)


def test_strikes_are_forgiven_one_a_second() -> None:
    conduct = Conduct(ConductLimits(strikes=3))
    assert not any(conduct.strike("a", 1.0 * second) for second in range(1000))


def test_after_an_hour_of_silence_a_peer_starts_anew() -> None:
    conduct = Conduct(ConductLimits(strikes=1, quarantine_s=1))
    assert conduct.strike("a", 0.0)
    conduct.strike("a", 4000.0)
    assert conduct.quarantined(4000.5)[0].times == 1
