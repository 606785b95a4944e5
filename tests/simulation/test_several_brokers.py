"""Data stays as fresh with several brokers as with one; in virtual time, with the real machines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.examples import RUN
from support.simulated_run import SimulatedRun

from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import LearnerGoodbye, LearnerHello
from headrace.protocol.messages.headers import encode_header

ACTORS, TRAIN_BATCH, UPDATE_S = 64, 4000, 1.2
SPEED = 1.5 * TRAIN_BATCH / UPDATE_S / ACTORS
"""The fleet makes 1.5 times what the learner takes."""


def equal(brokers: int) -> list[int]:
    return [ACTORS // brokers] * brokers


def most_at_one(brokers: int) -> list[int]:
    """One broker has nine tenths of the actors."""
    rest = ACTORS // 10 // (brokers - 1) or 1
    return [ACTORS - rest * (brokers - 1), *[rest] * (brokers - 1)]


def none_at_one(brokers: int) -> list[int]:
    return [*[ACTORS // (brokers - 1)] * (brokers - 1), 0]


def cell(actors: list[int], latency_s: float) -> object:
    is_long = len(actors) in (4, 8) or latency_s > 0.01
    marks = [pytest.mark.slow] if is_long else []
    return pytest.param(actors, latency_s, id=f"{actors}-{latency_s}", marks=marks)


FLEETS = [
    *(equal(brokers) for brokers in (1, 2, 4, 8)),
    *(make(brokers) for brokers in (2, 4, 8) for make in (most_at_one, none_at_one)),
]


@pytest.mark.parametrize(
    ("actors", "latency_s"),
    [cell(actors, latency_s) for actors in FLEETS for latency_s in (0.001, 0.05)],
)
def test_freshness_and_fairness_do_not_depend_on_the_number_of_brokers(
    actors: list[int], latency_s: float
) -> None:
    run = SimulatedRun(
        [[SPEED] * count for count in actors], TRAIN_BATCH, UPDATE_S, latency_s=latency_s
    )
    run.learner.start()
    run.run_updates(20)
    assert run.learner.lag_mean <= 1.5
    assert run.stale_share <= 0.05
    assert run.learner.waiting_share < 0.25
    assert run.fairness >= 0.9
    assert max(run.learner.batches.values()) == 1
    assert run.learner.messages < 20 * 25 * len(actors), "a pull asks for much"


def test_an_update_does_not_wait_for_slow_fleets() -> None:
    """Their actors are as many, and a tenth as fast: what they cannot deliver, others do."""
    run = SimulatedRun([[500.0] * 10, [50.0] * 10, [50.0] * 10], TRAIN_BATCH, UPDATE_S)
    run.learner.start()
    run.run_updates(20)
    assert run.learner.waiting_share < 0.1
    slow = [actor.name for actor in run.actors if actor.speed < 500]
    assert all(run.learner.steps_by_actor[actor] for actor in slow)
    assert run.learner.messages < 20 * 3 * 25, "brokers do not pass the last steps around"


def test_training_goes_on_with_the_brokers_that_are_left() -> None:
    run = SimulatedRun([[125.0] * 10] * 3, TRAIN_BATCH, UPDATE_S)
    run.learner.start()
    run.run_updates(5)
    run.brokers[1].is_down = True
    gone_at_s = run.timeline.now_s
    run.run_updates(15)
    ends_s = [end_s for end_s in run.learner.update_ends_s if end_s > gone_at_s]
    assert ends_s[1] - gone_at_s < 15
    pauses_s = [later - earlier for earlier, later in pairwise(ends_s[3:])]
    assert sum(pauses_s) / len(pauses_s) < 1.2 * TRAIN_BATCH / (20 * 125.0)


@pytest.mark.parametrize("loss", ["killed", "cut off"])
def test_nothing_is_lost_or_trained_twice_when_a_broker_comes_back(loss: str) -> None:
    run = SimulatedRun([[125.0] * 5] * 3, TRAIN_BATCH, UPDATE_S)
    run.learner.start()
    for number in range(6):
        broker = run.brokers[number % 3]
        run.run_for(5.0)
        if loss == "killed":
            broker.is_down = True
            run.run_for(1.0)
            broker.start()
        else:
            broker.is_cut_off = True
            run.run_for(4.0)
            broker.is_cut_off = False
    run.run_for(10.0)
    learner = run.learner
    assert max(learner.batches.values()) == 1
    for actor in run.actors:
        seqs = sorted(seq for name, seq in learner.batches if name == actor.name)
        stale = actor.session.sender.totals.stale
        assert len(seqs) > 20
        assert seqs[-1] - len(seqs) <= stale, "each batch was trained on, or was stale"


def test_versions_never_go_back_when_another_learner_takes_over() -> None:
    run = SimulatedRun([[125.0] * 5] * 3, TRAIN_BATCH, UPDATE_S)
    run.learner.start()
    run.run_for(10.0)
    run.learner.is_dead = True
    run.run_for(12.0)
    run.learner = run.make_learner("run-2", newest_epoch=1)
    run.learner.start()
    run.run_for(10.0)
    for actor in run.actors:
        assert actor.versions == sorted(actor.versions)
        assert actor.versions[-1].epoch == 2


def test_all_brokers_publish_in_the_highest_epoch_that_one_of_them_granted() -> None:
    run = SimulatedRun([[125.0] * 3] * 3, TRAIN_BATCH, UPDATE_S)
    former = LearnerHello(session=99, learner_run="former", worker_index=0, run=RUN, newest_epoch=6)
    for message in (former, LearnerGoodbye(session=99)):
        run.brokers[1].receive_from_learner([encode_header(message)])
    run.run_for(0.1)
    run.learner.start()
    run.run_updates(4)
    assert run.learner.sessions.epoch == 8
    newest = {actor.versions[-1] for actor in run.actors}
    assert {version.epoch for version in newest} == {8}
    assert max(newest) >= PolicyVersion(8, 3)
    assert run.stale_share < 0.05
