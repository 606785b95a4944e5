"""Learners are killed one after the other and replaced by new processes."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from chaos.report import Report
from chaos.stage import Stage, judge
from chaos.work import idle_learners


@dataclass(frozen=True)
class Plan:
    """The number of kills, and the time between them."""

    kills: int
    shortest_life_s: float = 1.0
    longest_life_s: float = 3.0
    actors: int = 16
    learners: int = 2


SHORT = Plan(kills=6)
LONG = Plan(kills=50)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills learners; at most their last, unconfirmed takes may reach training again."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=8, learners=plan.learners) as stage:
        stage.start_all(actor={}, learner={"train_s": 0.02})
        for _ in range(plan.kills):
            pause.wait(rng.uniform(plan.shortest_life_s, plan.longest_life_s))
            index = rng.randrange(plan.learners)
            stage.learners[index].kill()
            stage.start_learner(index, train_s=0.02)
        pause.wait(plan.longest_life_s)
        entries = stage.finish()
    findings = judge(entries)
    violations = findings.violations + idle_learners(entries, plan.learners)
    return Report("learner_kills", seed, findings, {"kills": plan.kills}, violations)
