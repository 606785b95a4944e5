"""Hosts with a broker and its actors are cut off from the learner, and reconnected."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from chaos.hosts import Hosts
from chaos.report import Report
from chaos.scenarios.partitions import cut_off, length_s
from chaos.stage import Stage, judge

_SIDES = ("side-0", "side-1", "side-2")


@dataclass(frozen=True)
class Plan:
    """The number of partitions and their length, drawn uniformly on a logarithmic scale."""

    cycles: int
    shortest_s: float = 0.1
    longest_s: float = 60.0
    actors: int = 12
    learners: int = 2


SHORT = Plan(cycles=3, longest_s=8.0)
LONG = Plan(cycles=50)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Cuts off one side at a time; its actors and its broker still reach one another."""
    rng = random.Random(seed)
    with (
        Hosts((*_SIDES, "learners")) as hosts,
        Stage(
            folder,
            actors=plan.actors,
            actors_per_process=plan.actors // len(_SIDES),
            learners=plan.learners,
            brokers=len(_SIDES),
        ) as stage,
    ):
        for side, broker, actors in zip(_SIDES, stage.brokers, stage.actors, strict=True):
            broker.prefix = actors.prefix = hosts.running(side)
            broker.address = actors.dials = f"tcp://{hosts.address(side)}:5555"
        for learner in stage.learners:
            learner.prefix = hosts.running("learners")
        stage.start_all(actor={"pause_s": 0.01}, learner={"train_s": 0.02})
        for _ in range(plan.cycles):
            side = rng.choice(_SIDES)
            hurt = [part.target for part in stage.learners]
            lasts_s = length_s(rng, plan.shortest_s, plan.longest_s)
            cut_off(stage, hosts, side, lasts_s, hurt, rng.choice((hosts.cut, hosts.unplug)))
        entries = stage.finish()
    findings = judge(entries)
    figures = {"cycles": plan.cycles}
    return Report("side_partitions", seed, findings, figures, list(findings.violations))
