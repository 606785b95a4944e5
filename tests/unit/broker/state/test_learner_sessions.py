"""What the sessions of a learner ask of one of its brokers."""

from __future__ import annotations

import pytest

from headrace.broker.state.learner_sessions import SessionRecord, SessionRecords
from headrace.protocol.messages import LearnerHello


@pytest.fixture
def records() -> SessionRecords:
    return SessionRecords(timeout_s=10.0)


def opened(records: SessionRecords, session: int) -> SessionRecord:
    hello = LearnerHello(session=session, learner_run="run-1", worker_index=session, run="run")
    record = SessionRecord(hello, b"L", 0.0)
    records.open(record)
    return record


def test_the_share_is_the_mean_of_what_runners_say(records: SessionRecords) -> None:
    first, second = opened(records, 1), opened(records, 2)
    records.ask(first, 10, 0.2)
    records.ask(second, 10, 0.4)
    assert records.share == pytest.approx(0.3)


def test_a_driver_that_takes_no_data_does_not_count_for_the_share(records: SessionRecords) -> None:
    driver, runner = opened(records, 1), opened(records, 2)
    runner.leased_env_steps = 5
    records.ask(runner, 10, 0.2)
    records.ask(driver, 0, 0.8)
    assert records.share == 0.2


def test_what_was_asked_before_the_newest_version_is_not_asked_for_it(
    records: SessionRecords,
) -> None:
    session = opened(records, 1)
    assert records.asked_steps is None
    records.ask(session, 10, 0.5)
    assert records.asked_steps == 10
    records.note_version()
    assert records.asked_steps is None
