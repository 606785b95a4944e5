from __future__ import annotations

from headrace.actors.connection.presence_schedule import PresenceSchedule


def test_a_hello_is_repeated_each_second_whatever_the_period() -> None:
    schedule = PresenceSchedule(1.0)
    schedule.follow(10.0)
    schedule.note_sent(5.0, is_hello=True)
    assert schedule.due_s == 6.0
    schedule.note_sent(6.0, is_hello=False)
    assert schedule.due_s == 16.0


def test_a_shorter_period_holds_at_once() -> None:
    schedule = PresenceSchedule(1.0)
    schedule.follow(10.0)
    schedule.note_sent(0.0, is_hello=False)
    schedule.follow(2.0)
    assert schedule.due_s == 2.0
    schedule.follow(1e9)
    schedule.note_sent(2.0, is_hello=False)
    assert schedule.due_s == 62.0


def test_silence_counts_from_the_next_report() -> None:
    schedule = PresenceSchedule(1.0)
    assert schedule.silent_since(3.0) == 3.0
    schedule.note_sent(3.0, is_hello=False)
    assert schedule.silent_since(3.0) == 3.0, "with the default period"
    schedule.follow(10.0)
    schedule.note_sent(4.0, is_hello=False)
    assert schedule.silent_since(4.5) == 13.0
