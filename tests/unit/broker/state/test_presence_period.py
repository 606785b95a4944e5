from __future__ import annotations

import pytest

from headrace.broker.state.presence_period import PresencePeriod


def test_a_small_fleet_reports_each_second() -> None:
    period = PresencePeriod(reports_per_s=1000)
    period.follow(1000)
    assert period.seconds == 1.0
    assert period.stretched(5.0) == 5.0


def test_a_large_fleet_reports_more_rarely_and_may_be_silent_for_longer() -> None:
    period = PresencePeriod(reports_per_s=1000)
    period.follow(2500)
    assert period.seconds == 2.5
    assert period.stretched(5.0) == 12.5
    period.follow(10**9)
    assert period.seconds == 60.0


def test_the_period_shortens_slowly_since_some_actors_still_report_by_the_longer_one() -> None:
    period = PresencePeriod(reports_per_s=1000)
    period.follow(10_000)
    period.follow(0)
    assert period.seconds == pytest.approx(9.0)
    for _ in range(30):
        period.follow(0)
    assert period.seconds == 1.0
