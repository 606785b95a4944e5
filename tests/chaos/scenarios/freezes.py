"""Processes of each kind are frozen for a while, then resumed."""

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
    """The durations, for each of which each part of the stage is frozen."""

    freezes_s: tuple[float, ...]
    actors: int = 8
    learners: int = 2


SHORT = Plan(freezes_s=(1.0, 3.0))
LONG = Plan(freezes_s=(1.0, 5.0, 12.0, 30.0))


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Freezes one part at a time; nothing may count as lost, and all must continue."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.start_all(actor={}, learner={"train_s": 0.02})
        freezes = [(part, freeze_s) for part in stage.parts for freeze_s in plan.freezes_s]
        rng.shuffle(freezes)
        for part, freeze_s in freezes:
            pause.wait(rng.uniform(0.5, 1.5))
            part.freeze()
            pause.wait(freeze_s)
            part.thaw()
        pause.wait(3.0)
        entries = stage.finish()
    findings = judge(entries)
    violations = findings.violations + idle_learners(entries, plan.learners)
    return Report("freezes", seed, findings, {"freezes": len(freezes)}, violations)
