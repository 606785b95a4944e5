"""Remote EnvRunners of a real PPO run are killed inside Ray."""

from __future__ import annotations

import functools
import random
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from support.running import wait_until

from chaos.referee import learner_name
from chaos.report import Report
from chaos.rllib_learner import RLlibPlan
from chaos.stage import Part, Stage, judge

_STARTS_WITHIN_S = 120.0


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    kills: int
    shortest_life_s: float = 2.0
    longest_life_s: float = 5.0
    actors: int = 8
    runners: int = 2


SHORT = Plan(kills=2)
LONG = Plan(kills=20)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills runners; at most what their last `sample()` returned reaches training again."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=0) as stage:
        stage.start_broker()
        driver = Part(stage, "driver")
        stage.learners.append(driver)
        settings = RLlibPlan(stage.address, str(folder), plan.runners)
        driver.play("chaos.rllib_learner", settings)
        for index in range(len(stage.actors)):
            stage.start_actors(index)
        wait_until(lambda: _takers(folder) >= plan.runners, _STARTS_WITHIN_S)
        for _ in range(plan.kills):
            pause.wait(rng.uniform(plan.shortest_life_s, plan.longest_life_s))
            before = _takers(folder)
            _kill_one(driver, rng)
            wait_until(functools.partial(_has_more_takers, folder, before), _STARTS_WITHIN_S)
        pause.wait(plan.longest_life_s)
        entries = stage.finish()
    findings = judge(entries)
    violations = list(findings.violations)
    if findings.ledger.rejected or findings.ledger.dropped:
        violations.append("batches were rejected or dropped")
    iterations = sum(entry.kind == "trained" for entry in entries)
    figures = {"kills": plan.kills, "iterations": iterations}
    return Report("runner_kills", seed, findings, figures, violations)


def _takers(folder: Path) -> int:
    """Returns how many processes of runners have returned something from `sample()`."""
    return sum(diary.stat().st_size > 0 for diary in folder.glob("runner-*.diary"))


def _has_more_takers(folder: Path, before: int) -> bool:
    return _takers(folder) > before


def _kill_one(driver: Part, rng: random.Random) -> None:
    assert driver.process is not None
    children = psutil.Process(driver.process.pid).children(recursive=True)
    runners = [child for child in children if "ray::RecordingRunner" in " ".join(child.cmdline())]
    victim = rng.choice(sorted(runners, key=lambda runner: runner.pid))
    [diary] = driver.stage.folder.glob(f"runner-*.{victim.pid}.diary")
    worker = int(diary.name.removeprefix("runner-").partition(".")[0])
    victim.kill()
    victim.wait(10.0)
    driver.stage.diary.write("fault", "kill", learner_name(worker, victim.pid))
