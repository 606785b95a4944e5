"""Remote EnvRunners of a real PPO run are killed inside Ray."""

from __future__ import annotations

import functools
import random
import threading
from dataclasses import dataclass
from pathlib import Path

from support.running import wait_until

from chaos.report import Report
from chaos.rllib_stage import STARTS_WITHIN_S, Driver, iterations_in, violations_of
from chaos.stage import Stage, judge


@dataclass(frozen=True)
class Plan:
    """The number of kills, and the time between them."""

    kills: int
    shortest_life_s: float = 2.0
    longest_life_s: float = 5.0
    actors: int = 8
    runners: int = 2


SHORT = Plan(kills=2)
LONG = Plan(kills=20)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills runners; at most the batches of their last `sample()` may reach training again."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=0) as stage:
        driver = Driver(stage, plan.runners)
        for _ in range(plan.kills):
            pause.wait(rng.uniform(plan.shortest_life_s, plan.longest_life_s))
            before = driver.takers
            victim, name = driver.choose_runner(rng)
            victim.kill()
            victim.wait(10.0)
            stage.diary.write("fault", "kill", name)
            wait_until(functools.partial(_has_more_takers, driver, before), STARTS_WITHIN_S)
        pause.wait(plan.longest_life_s)
        entries = stage.finish()
    findings = judge(entries)
    figures = {"kills": plan.kills, "iterations": iterations_in(entries)}
    return Report("runner_kills", seed, findings, figures, violations_of(findings))


def _has_more_takers(driver: Driver, before: int) -> bool:
    return driver.takers > before
