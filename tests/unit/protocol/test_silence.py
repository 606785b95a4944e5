"""How long a connection may stay silent."""

from __future__ import annotations

from headrace.protocol.silence import SilenceWatch


def test_each_attempt_gets_twice_the_time_of_the_last() -> None:
    watch = SilenceWatch(0.0, first_s=5.0, longest_s=12.0)
    overdue_s = [second for second in range(60) if watch.restart_if_overdue(float(second))]
    assert overdue_s == [5, 15, 27, 39, 51]


def test_a_message_restarts_the_wait() -> None:
    watch = SilenceWatch(0.0, first_s=5.0)
    assert watch.restart_if_overdue(5.0)
    watch.note_contact(6.0)
    assert not watch.restart_if_overdue(10.9)
    assert watch.restart_if_overdue(11.0)
