"""Remote EnvRunners of a real PPO run are frozen for a while inside Ray, then resumed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from support.running import wait_until

from chaos.diary import read_diaries
from chaos.report import Report
from chaos.rllib_stage import STARTS_WITHIN_S, Driver, iterations_in, violations_of
from chaos.stage import Stage, judge


@dataclass(frozen=True)
class Plan:
    """The durations of the freezes, one after the other."""

    freezes_s: tuple[float, ...]
    actors: int = 8
    runners: int = 2


SHORT = Plan(freezes_s=(1.0, 3.0))
LONG = Plan(freezes_s=(1.0, 2.0, 5.0, 9.0, 12.0, 15.0, 20.0, 30.0))


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Freezes one runner at a time; nothing may count as lost, and training must continue."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=0) as stage:
        driver = Driver(stage, plan.runners)

        def trained() -> int:
            return iterations_in(read_diaries(folder))

        for freeze_s in plan.freezes_s:
            pause.wait(rng.uniform(0.5, 2.0))
            victim, name = driver.choose_runner(rng)
            victim.suspend()
            stage.diary.write("fault", "freeze", name)
            pause.wait(freeze_s)
            victim.resume()
            stage.diary.write("healed", name)
            seen = trained()
            wait_until(lambda seen=seen: trained() > seen + 1, STARTS_WITHIN_S)  # type: ignore[misc]
        entries = stage.finish()
    findings = judge(entries)
    figures = {"freezes": len(plan.freezes_s), "iterations": iterations_in(entries)}
    return Report("runner_freezes", seed, findings, figures, violations_of(findings))
