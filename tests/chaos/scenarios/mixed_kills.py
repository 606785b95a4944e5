"""Processes of all kinds are killed, one at a time or two at once."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from chaos.report import Report
from chaos.stage import Part, Stage, judge
from chaos.work import idle_learners

_LEARNER = {"train_s": 0.02}


@dataclass(frozen=True)
class Plan:
    """The number of rounds, and the time between them."""

    rounds: int
    shortest_life_s: float = 0.5
    longest_life_s: float = 3.0
    actors: int = 12
    learners: int = 2


SHORT = Plan(rounds=10)
LONG = Plan(rounds=100)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills processes; only batches that died with their actor may be missing."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.start_all(actor={}, learner=_LEARNER)
        for _ in range(plan.rounds):
            pause.wait(rng.uniform(plan.shortest_life_s, plan.longest_life_s))
            victims = rng.sample(stage.parts, rng.choice((1, 1, 2)))
            for part in victims:
                part.kill()
            for part in victims:
                start_again(stage, part)
        pause.wait(8.0)
        entries = stage.finish()
    findings = judge(entries)
    violations = findings.violations + idle_learners(entries, plan.learners)
    return Report("mixed_kills", seed, findings, {"rounds": plan.rounds}, violations)


def start_again(stage: Stage, part: Part) -> None:
    """Starts the next process of a part."""
    if part is stage.broker:
        stage.start_broker()
    elif part in stage.learners:
        stage.start_learner(stage.learners.index(part), **_LEARNER)
    else:
        stage.start_actors(stage.actors.index(part))
