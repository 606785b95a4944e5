"""Hosts are cut off from the network, and reconnected."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.diary import Entry
from chaos.hosts import Hosts
from chaos.report import Report
from chaos.stage import Stage, judge
from chaos.throughput import percentile

_FLOWS_WITHIN_S = 5.0
_CALM_S = 6.0
_HOSTS = ("broker", "learners", "actors-0", "actors-1")


@dataclass(frozen=True)
class Plan:
    """The number of partitions and their length, drawn uniformly on a logarithmic scale."""

    cycles: int
    shortest_s: float = 0.1
    longest_s: float = 60.0
    actors: int = 8
    learners: int = 2
    is_timed: bool = True


SHORT = Plan(cycles=6, longest_s=12.0, is_timed=False)
LONG = Plan(cycles=50)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Cuts off one host at a time, at its own link (which it notices) or at the switch."""
    rng = random.Random(seed)
    with (
        Hosts(_HOSTS) as hosts,
        Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage,
    ):
        _settle(stage, hosts)
        stage.start_all(actor={"pause_s": 0.01}, learner={"train_s": 0.02})
        for cycle in range(plan.cycles):
            _cut(plan, stage, hosts, rng, cycle)
        entries = stage.finish()
        flows_s = [flow_s for host in _HOSTS for flow_s in _flows_again_s(entries, host, stage)]
    findings = judge(entries)
    violations = list(findings.violations)
    late = [flow_s for flow_s in flows_s if flow_s > _FLOWS_WITHIN_S]
    if late and plan.is_timed:
        violations.append(f"{len(late)} recoveries were late, up to {max(late):.1f} s")
    figures = {
        "cycles": plan.cycles,
        "flows again p50 s": round(percentile(flows_s, 0.5), 2),
        "slowest s": round(max(flows_s), 2),
    }
    return Report("partitions", seed, findings, figures, violations)


def _settle(stage: Stage, hosts: Hosts) -> None:
    stage.broker.address = f"tcp://{hosts.address('broker')}:5555"
    stage.broker.prefix = hosts.running("broker")
    for learner in stage.learners:
        learner.prefix = hosts.running("learners")
    for part in stage.actors:
        part.prefix = hosts.running(part.name)


def _cut(plan: Plan, stage: Stage, hosts: Hosts, rng: random.Random, cycle: int) -> None:
    host = _HOSTS[cycle % len(_HOSTS)]
    lasts_s = length_s(rng, plan.shortest_s, plan.longest_s)
    hurt = [] if host.startswith("actors") else [part.target for part in stage.learners]
    cut_off(stage, hosts, host, lasts_s, hurt, (hosts.cut, hosts.unplug)[rng.random() >= 0.5])


def length_s(rng: random.Random, shortest_s: float, longest_s: float) -> float:
    """Returns how long a partition lasts, drawn uniformly on a logarithmic scale."""
    return math.exp(rng.uniform(math.log(shortest_s), math.log(longest_s)))


def cut_off(
    stage: Stage,
    hosts: Hosts,
    host: str,
    lasts_s: float,
    hurt: Sequence[str],
    cut: Callable[[str], None],
) -> None:
    """Cuts off a host for a while, and notes whom it hurts."""
    pause = threading.Event()
    for target in hurt:
        stage.diary.write("fault", "partition", target)
    cut(host)
    pause.wait(lasts_s)
    hosts.heal(host)
    stage.diary.write("connected", host, lasts_s)
    pause.wait(_CALM_S)
    for target in hurt:
        stage.diary.write("healed", target)


def _flows_again_s(entries: list[Entry], host: str, stage: Stage) -> list[float]:
    """Returns, for each reconnection of a host, the time until training got batches again.

    For a host with actors that is a batch of theirs, otherwise one for each learner.
    """
    times: list[float] = []
    for index, entry in enumerate(entries):
        if entry.kind != "connected" or entry.fields[0] != host:
            continue
        handed = [later for later in entries[index:] if later.kind == "handed"]
        if host.startswith("actors"):
            group = stage.groups[int(host.removeprefix("actors-"))]
            flows = [[later.at_s for later in handed if later.fields[3] in group]]
        else:
            flows = [
                [later.at_s for later in handed if later.fields[0] == worker]
                for worker in range(len(stage.learners))
            ]
        times += [min(flow, default=math.inf) - entry.at_s for flow in flows]
    return times
