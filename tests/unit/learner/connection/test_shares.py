"""Which part of a learner's data each broker should deliver."""

from __future__ import annotations

import pytest

from headrace.learner.connection.shares import FleetShares


def delivered(shares: FleetShares, actors: list[int | None], parts: list[int], times: int) -> None:
    """Asks by the present shares, and lets the fleets deliver these parts of each 1,000 steps."""
    for _ in range(times):
        shares.note_asked([round(1000 * share) for share in shares.of(actors)])
        for broker, part in enumerate(parts):
            shares.note_delivered(broker, part)


def test_shares_follow_the_number_of_actors() -> None:
    assert FleetShares(3).of([9, 1, 0]) == [0.9, 0.1, 0.0]


def test_a_broker_that_is_gone_has_no_share() -> None:
    assert FleetShares(3).of([9, None, 1]) == [0.9, 0.0, 0.1]


@pytest.mark.parametrize(
    ("actors", "expected"),
    [([0, 0], [0.5, 0.5]), ([0, None], [1.0, 0.0]), ([None, None], [0.5, 0.5])],
)
def test_without_actors_all_brokers_that_are_there_have_equal_shares(
    actors: list[int | None], expected: list[float]
) -> None:
    assert FleetShares(2).of(actors) == expected


def test_a_fleet_that_delivers_less_than_it_was_asked_for_gets_a_smaller_share() -> None:
    shares = FleetShares(2)
    delivered(shares, [5, 5], [900, 100], times=40)
    fast, slow = shares.of([5, 5])
    assert slow == pytest.approx(0.1, abs=0.05)
    assert fast + slow == pytest.approx(1.0)


def test_a_fleet_that_has_caught_up_gets_its_share_back() -> None:
    shares = FleetShares(2)
    delivered(shares, [5, 5], [900, 100], times=10)
    for _ in range(100):
        parts = [round(1000 * share) for share in shares.of([5, 5])]
        delivered(shares, [5, 5], parts, times=1)
    assert shares.of([5, 5])[1] == pytest.approx(0.5, abs=0.05)


def test_a_fleet_that_delivers_nothing_is_still_asked_for_a_little() -> None:
    shares = FleetShares(2)
    delivered(shares, [5, 5], [1000, 0], times=100)
    assert 0.01 < shares.of([5, 5])[1] < 0.1


def test_a_few_steps_say_nothing_about_a_fleet() -> None:
    shares = FleetShares(2)
    for _ in range(10):
        shares.note_asked([4, 4])
        shares.note_delivered(0, 8)
    assert shares.of([5, 5]) == [0.5, 0.5]
