"""More peers connect than a broker can serve; the existing ones must not notice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from chaos.report import Report
from chaos.siege import BOUND_MIB, Attackers, besiege, report_of
from chaos.stage import Part, Stage
from chaos.visitor import VisitorPlan
from headrace.protocol.endpoints import BrokerAddress

_PROCESSES = 2


@dataclass(frozen=True)
class Plan:
    """The total number of connections, and their duration."""

    connections: int
    rounds: int
    lasts_s: float
    memory_mib: int = BOUND_MIB
    actors: int = 8
    learners: int = 2
    is_timed: bool = True


SHORT = Plan(connections=2_000, rounds=1, lasts_s=4.0, is_timed=False)
LONG = Plan(connections=20_000, rounds=3, lasts_s=30.0, memory_mib=800)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Compares the honest fleet's rate with its rate while the crowd only uses CPU time."""
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.broker_options += ["--max-memory-mib", str(plan.memory_mib)]
        stage.start_all(actor={}, learner={})
        visitors = [Part(stage, f"visitors-{index}") for index in range(_PROCESSES)]

        def play(endpoints: dict[str, str], cpu_s: float = 0.0) -> None:
            for part in visitors:
                settings = VisitorPlan(
                    endpoints, plan.connections // _PROCESSES, plan.lasts_s, cpu_s / _PROCESSES
                )
                part.play("chaos.visitor", settings)

        all_endpoints = dataclasses.asdict(BrokerAddress.parse(stage.address))
        attackers = Attackers(
            visitors, lambda _: play(all_endpoints), lambda _, cpu_s: play({}, cpu_s)
        )
        largest = besiege(stage, attackers, plan.rounds)
        entries = stage.finish()
    return report_of(
        "crowds",
        seed,
        entries,
        largest,
        bound_mib=plan.memory_mib,
        is_timed=plan.is_timed,
        more={"connections": plan.connections},
    )
