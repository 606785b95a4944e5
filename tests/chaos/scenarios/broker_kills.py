"""The broker is killed repeatedly at random moments."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from pathlib import Path

from chaos.report import Report
from chaos.stage import Stage, judge
from chaos.throughput import Throughput, percentile, recoveries_s, usual_rate

_STEADY_S = 5.0


@dataclass(frozen=True)
class Plan:
    """The number of kills, and the broker's lives between them."""

    kills: int
    shortest_life_s: float = 3.2
    longest_life_s: float = 6.0
    actors: int = 16
    learners: int = 2
    has_journal: bool = False
    is_timed: bool = True


SHORT = Plan(kills=8, is_timed=False)
LONG = Plan(kills=200)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills the broker; every batch must reach training exactly once."""
    rng = random.Random(seed)
    pause = threading.Event()
    with Stage(folder, actors=plan.actors, actors_per_process=8, learners=plan.learners) as stage:
        if plan.has_journal:
            stage.broker_options = ["--journal", str(folder / "journal")]
        stage.start_all(actor={}, learner={})
        pause.wait(_STEADY_S)
        for _ in range(plan.kills):
            pause.wait(rng.uniform(plan.shortest_life_s, plan.longest_life_s))
            stage.broker.kill()
            stage.start_broker()
        pause.wait(_STEADY_S)
        entries = stage.finish()
    findings = judge(entries)
    faults_at_s = [entry.at_s for entry in entries if entry.kind == "fault"]
    handed_at_s = [entry.at_s for entry in entries if entry.kind == "handed"]
    throughput = Throughput(entries)
    usual = usual_rate(throughput, faults_at_s[0] - _STEADY_S, faults_at_s[0])
    recovered_s = recoveries_s(throughput, faults_at_s, handed_at_s[-1])
    violations = list(findings.violations)
    if findings.handed_twice:
        violations.append(f"{findings.handed_twice} batches were handed to training twice")
    if findings.sent_twice > findings.open_at_faults:
        violations.append(
            f"{findings.sent_twice} batches were sent again, but only "
            f"{findings.open_at_faults} were unacknowledged"
        )
    if plan.is_timed and percentile(recovered_s, 0.95) > 3.0:
        violations.append(f"recovery took {percentile(recovered_s, 0.95):.1f} s (p95)")
    figures = {
        "kills": plan.kills,
        "batches per s before": round(usual),
        "recovery p50 s": round(percentile(recovered_s, 0.5), 2),
        "recovery p95 s": round(percentile(recovered_s, 0.95), 2),
    }
    name = "journal_kills" if plan.has_journal else "broker_kills"
    return Report(name, seed, findings, figures, violations)
