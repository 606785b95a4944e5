"""All traffic passes a proxy that delays, slices, throttles, cuts and swallows."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from chaos.proxy import CLEAR, ChaosProxy, random_weather
from chaos.referee import Findings
from chaos.report import Report
from chaos.stage import Stage, judge
from headrace.protocol.endpoints import BrokerAddress

_SCHEDULES_PER_STAGE = 10


@dataclass(frozen=True)
class Plan:
    """The number and length of weather schedules."""

    schedules: int
    schedule_s: float = 5.0
    clear_s: float = 1.0
    actors: int = 6
    learners: int = 2


SHORT = Plan(schedules=8)
LONG = Plan(schedules=300)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Runs schedules of weather; every batch must reach training nevertheless."""
    violations: list[str] = []
    sums: Counter[str] = Counter()
    findings: Findings | None = None
    for first in range(0, plan.schedules, _SCHEDULES_PER_STAGE):
        last = min(first + _SCHEDULES_PER_STAGE, plan.schedules)
        findings = _play(plan, folder / f"from-{first}", range(seed + first, seed + last))
        sums["batches"] += findings.ledger.produced
        sums["handed twice"] += findings.handed_twice
        seeds = f"seeds {seed + first} to {seed + last - 1}"
        violations += [f"{seeds}: {violation}" for violation in findings.violations]
    assert findings is not None, "a plan without schedules"
    figures = {"schedules": plan.schedules, **sums}
    return Report("bad_network", seed, findings, figures, violations)


def _play(plan: Plan, folder: Path, seeds: range) -> Findings:
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=3, learners=plan.learners) as stage:
        stage.start_broker()
        proxy = ChaosProxy(_ports(stage.address), seeds.start)
        try:
            names = ("ingest", "control", "weights", "learner")
            stage.reached_at = ",".join(
                f"{name}=tcp://127.0.0.1:{port}"
                for name, port in zip(names, proxy.ports, strict=True)
            )
            stage.start_all(actor={"pause_s": 0.01}, learner={"train_s": 0.02})
            for seed in seeds:
                _rain(plan, stage, proxy, random.Random(seed), pause)
            entries = stage.finish()
        finally:
            proxy.close()
    return judge(entries)


def _rain(
    plan: Plan, stage: Stage, proxy: ChaosProxy, rng: random.Random, pause: threading.Event
) -> None:
    for learner in stage.learners:
        stage.diary.write("fault", "weather", learner.target)
    left_s = plan.schedule_s
    while left_s > 0:
        weather, lasts_s = random_weather(rng), min(left_s, rng.uniform(0.2, 1.5))
        stage.diary.write("weather", dataclasses.asdict(weather), lasts_s)
        proxy.set_weather(weather)
        pause.wait(lasts_s)
        left_s -= lasts_s
    proxy.set_weather(CLEAR)
    pause.wait(plan.clear_s)
    for learner in stage.learners:
        stage.diary.write("healed", learner.target)


def _ports(address: str) -> list[int]:
    endpoints = dataclasses.astuple(BrokerAddress.parse(address))
    return [int(endpoint.rpartition(":")[2]) for endpoint in endpoints]
