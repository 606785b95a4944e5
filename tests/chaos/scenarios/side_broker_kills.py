"""One of three brokers is killed repeatedly; the learner goes on with the others meanwhile."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from chaos.report import Report
from chaos.stage import Stage, judge

_STEADY_S = 5.0
_LONGEST_PAUSE_S = 15.0


@dataclass(frozen=True)
class Plan:
    """The number of kills, and how long brokers are up and down between them."""

    kills: int
    brokers: int = 3
    shortest_s: float = 1.0
    longest_s: float = 6.0
    longest_absence_s: float = 8.0
    actors: int = 18
    learners: int = 2


SHORT = Plan(kills=6)
LONG = Plan(kills=50)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills brokers; every batch must reach training exactly once, without a long pause."""
    rng, pause = random.Random(seed), threading.Event()
    with Stage(
        folder,
        actors=plan.actors,
        actors_per_process=6,
        learners=plan.learners,
        brokers=plan.brokers,
    ) as stage:
        stage.start_all(actor={"pause_s": 0.005}, learner={})
        pause.wait(_STEADY_S)
        for _ in range(plan.kills):
            pause.wait(rng.uniform(plan.shortest_s, plan.longest_s))
            number = rng.randrange(plan.brokers)
            stage.brokers[number].kill()
            pause.wait(rng.choice([0.0, rng.uniform(0.0, plan.longest_absence_s)]))
            stage.start_broker(number)
        pause.wait(_STEADY_S)
        entries = stage.finish()
    findings = judge(entries)
    handed_at_s = [entry.at_s for entry in entries if entry.kind == "handed"]
    longest_s = max(later - earlier for earlier, later in pairwise(handed_at_s))
    violations = list(findings.violations)
    if findings.handed_twice:
        violations.append(f"{findings.handed_twice} batches were handed to training twice")
    if longest_s > _LONGEST_PAUSE_S:
        violations.append(f"training got nothing for {longest_s:.1f} s")
    figures = {"kills": plan.kills, "longest pause s": round(longest_s, 2)}
    return Report("side_broker_kills", seed, findings, figures, violations)
