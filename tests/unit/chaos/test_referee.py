"""The referee sees what is planted."""

from __future__ import annotations

from itertools import count

import pytest
from chaos.diary import Entry
from chaos.referee import Findings, Ledger, Referee


class Story:
    """Entries, one second apart."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._clock = count()

    def add(self, kind: str, *fields: object) -> Story:
        self.entries.append(Entry(next(self._clock), kind, fields))
        return self

    def produce(self, *numbers: int) -> Story:
        for number in numbers:
            self.add("produced", 0, 0, number).add("transmitted", 0, 0, number)
        return self

    def hand(self, *numbers: int, worker: int = 0, take: int = 1, attempt: int = 1) -> Story:
        for number in numbers:
            self.add("handed", worker, 0, take, 0, 0, number, attempt)
        return self

    def end(self, stale: int = 0, rejected: int = 0, dropped: int = 0, held: int = 0) -> Story:
        return self.add("ended", 0, 0, stale, rejected, dropped, held)

    @property
    def findings(self) -> Findings:
        referee = Referee()
        referee.read(self.entries)
        return referee.findings()


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_run_without_faults_has_no_violations(story: Story) -> None:
    findings = story.produce(1, 2, 3).hand(1, 2, 3).end().findings
    assert findings.violations == []
    assert findings.ledger == Ledger(3, 3, 0, 0, 0, 0, 0, 0)


def test_a_batch_that_nobody_accounts_for_is_lost(story: Story) -> None:
    findings = story.produce(1, 2, 3).hand(1, 3).end().findings
    assert findings.ledger.lost == 1
    assert "1 batches were lost" in findings.violations


def test_a_batch_that_its_actor_knows_to_have_ended_otherwise_is_not_lost(story: Story) -> None:
    findings = story.produce(1, 2, 3, 4, 5).hand(1).end(1, 1, 1, 1).findings
    assert findings.violations == []
    assert findings.ledger == Ledger(5, 1, 1, 1, 1, 1, 0, 0)


def test_books_that_say_a_trained_batch_was_stale_disagree(story: Story) -> None:
    [violation] = story.produce(1, 2).hand(1, 2).end(stale=1).findings.violations
    assert "its books say" in violation


def test_what_a_killed_learner_did_not_confirm_may_end_as_stale(story: Story) -> None:
    story.produce(1).hand(1).add("fault", "kill", "learner-0.0")
    assert story.end(stale=1).findings.violations == []


def test_a_batch_that_nobody_produced_comes_from_nowhere(story: Story) -> None:
    [violation] = story.produce(1).hand(1, 2).end().findings.violations
    assert "from nowhere" in violation


def test_what_was_unacknowledged_dies_with_its_actor_and_what_was_acknowledged_does_not(
    story: Story,
) -> None:
    story.produce(1, 2, 3).hand(1).add("acknowledged", 0, 0, 2)
    ledger = story.findings.ledger
    assert (ledger.lost, ledger.died_with_actor) == (1, 1)


def test_a_repetition_without_a_fault_is_unexcused(story: Story) -> None:
    findings = story.produce(1).hand(1).hand(1, take=2, attempt=2).end().findings
    assert (findings.handed_twice, findings.unexcused) == (1, 1)


def test_the_last_take_of_a_killed_learner_may_come_again_as_a_second_attempt(
    story: Story,
) -> None:
    story.produce(1).hand(1).add("fault", "kill", "learner-0.0")
    findings = story.hand(1, worker=1, attempt=2).end().findings
    assert (findings.handed_twice, findings.unexcused) == (1, 0)


def test_it_may_not_come_again_as_a_first_attempt(story: Story) -> None:
    story.produce(1).hand(1).add("fault", "kill", "learner-0.0").hand(1, worker=1).end()
    assert story.findings.unexcused == 1


def test_an_earlier_take_of_a_killed_learner_may_not_come_again(story: Story) -> None:
    story.produce(1, 2).hand(1).hand(2, take=2).add("fault", "kill", "learner-0.0")
    assert story.hand(1, worker=1, attempt=2).end().findings.unexcused == 1


def test_after_a_freeze_one_more_take_may_be_one_that_is_repeated(story: Story) -> None:
    story.produce(1, 2, 3).hand(1).add("fault", "freeze", "learner-0.0")
    story.hand(1, 2, 3, worker=1, attempt=2).add("healed", "learner-0.0")
    assert story.hand(2, take=2).findings.unexcused == 0
    assert story.hand(3, take=3).findings.unexcused == 1


def test_a_learner_that_is_handed_batches_in_another_order_is_noticed(story: Story) -> None:
    findings = story.produce(1, 2).hand(2, 1).end().findings
    assert findings.out_of_order == 1


def test_transmissions_are_compared_with_what_was_open_at_the_faults(story: Story) -> None:
    story.produce(1, 2).add("acknowledged", 0, 0, 1).add("fault", "kill", "broker.0")
    findings = story.add("transmitted", 0, 0, 2).hand(1, 2).end().findings
    assert (findings.sent_twice, findings.open_at_faults) == (1, 1)
