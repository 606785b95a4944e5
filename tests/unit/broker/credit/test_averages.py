from __future__ import annotations

import pytest

from headrace.broker.credit.averages import MovingAverage, RecentValues


def test_an_average_starts_at_its_first_value_and_follows() -> None:
    average = MovingAverage(weight=0.5)
    assert average.value is None
    average.add(4.0)
    average.add(8.0)
    assert average.value == pytest.approx(6.0)


def test_extremes_are_those_of_the_last_few_values() -> None:
    recent = RecentValues(count=3)
    assert (recent.smallest, recent.largest) == (None, None)
    for value in (9.0, 1.0, 4.0, 5.0, 6.0):
        recent.add(value)
    assert (recent.smallest, recent.largest) == (4.0, 6.0)
