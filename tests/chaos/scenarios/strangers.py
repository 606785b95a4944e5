"""Peers without a key do what they can to a broker that asks for one."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.diary import Entry
from chaos.report import Report
from chaos.stage import Part, Stage, judge
from chaos.stranger import StrangerPlan
from chaos.throughput import Throughput
from headrace.protocol.endpoints import BrokerAddress

_LEAST_SHARE = 0.8
_BOUND_MIB = 300


@dataclass(frozen=True)
class Plan:
    """How long, and how many rounds of attack and control in turn."""

    rounds: int
    lasts_s: float = 8.0
    actors: int = 8
    learners: int = 2
    is_timed: bool = True


SHORT = Plan(rounds=1, lasts_s=5.0, is_timed=False)
LONG = Plan(rounds=6)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Compares the honest fleet's rate with one while the strangers only burn time."""
    pause = threading.Event()
    largest = 0
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.use_keys()
        stage.start_all(actor={}, learner={})
        assert stage.broker.process is not None
        broker = psutil.Process(stage.broker.process.pid)
        endpoints = dataclasses.astuple(BrokerAddress.parse(stage.address))
        ports = [int(endpoint.rpartition(":")[2]) for endpoint in endpoints]
        stranger = Part(stage, "stranger")
        for round_number in range(plan.rounds):
            for name, targets in (("attack", ports), ("control", [])):
                settings = StrangerPlan(targets, seed + round_number, plan.lasts_s)
                stage.diary.write("begins", name)
                stranger.play("chaos.stranger", settings)
                while not stranger.has_ended:
                    pause.wait(0.05)
                    largest = max(largest, broker.memory_info().rss)
                stage.diary.write("ends", name)
                pause.wait(1.0)
        entries = stage.finish()
    findings = judge(entries)
    violations = list(findings.violations)
    rates = {name: _rate(entries, name) for name in ("attack", "control")}
    share = rates["attack"] / rates["control"]
    if plan.is_timed and share < _LEAST_SHARE:
        violations.append(f"the honest fleet kept {share:.0%} of its rate")
    if largest > 1.1 * _BOUND_MIB * 1024 * 1024:
        violations.append(f"the broker took {largest >> 20} MiB")
    figures = {
        "rounds": plan.rounds,
        "batches/s attacked": round(rates["attack"]),
        "batches/s control": round(rates["control"]),
        "largest MiB": largest >> 20,
    }
    return Report("strangers", seed, findings, figures, violations)


def _rate(entries: list[Entry], name: str) -> float:
    throughput = Throughput(entries)
    begins = [e.at_s for e in entries if e.kind == "begins" and e.fields[0] == name]
    ends = [e.at_s for e in entries if e.kind == "ends" and e.fields[0] == name]
    rates = [throughput.between(begin, end) for begin, end in zip(begins, ends, strict=True)]
    return sum(rates) / len(rates)
