"""How long a silent connection is given."""

from __future__ import annotations

from headrace.protocol.silence import SilenceWatch


def test_a_connection_is_given_twice_the_time_after_each_attempt() -> None:
    watch = SilenceWatch(0.0, first_s=5.0, longest_s=12.0)
    overdue_s = [second for second in range(60) if watch.is_overdue(float(second))]
    assert overdue_s == [5, 15, 27, 39, 51]


def test_a_peer_that_speaks_starts_it_anew() -> None:
    watch = SilenceWatch(0.0, first_s=5.0)
    assert watch.is_overdue(5.0)
    watch.hear(6.0)
    assert not watch.is_overdue(10.9)
    assert watch.is_overdue(11.0)
