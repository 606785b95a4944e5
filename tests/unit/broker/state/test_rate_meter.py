from __future__ import annotations

from headrace.broker.state.rate_meter import RateMeter


def test_a_rate_counts_the_events_within_its_window() -> None:
    meter = RateMeter(window_s=5.0)
    meter.add(100, 0.0)
    meter.add(50, 3.0)
    assert meter.per_s(4.0) == 30.0
    assert meter.per_s(6.0) == 10.0
    assert meter.per_s(60.0) == 0.0
