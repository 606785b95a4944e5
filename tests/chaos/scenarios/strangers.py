"""Peers without a key attack a broker that requires one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from chaos.report import Report
from chaos.siege import Attackers, SiegePlan, besiege, report_of
from chaos.stage import Part, Stage
from chaos.stranger import StrangerPlan
from headrace.protocol.endpoints import BrokerAddress

SHORT = SiegePlan(rounds=1, lasts_s=5.0, is_timed=False)
LONG = SiegePlan(rounds=6)


def run(plan: SiegePlan, folder: Path, seed: int) -> Report:
    """Compares the honest fleet's rate with its rate while the strangers only use CPU time."""
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.use_keys()
        stage.start_all(actor={}, learner={})
        endpoints = dataclasses.astuple(BrokerAddress.parse(stage.address))
        ports = [int(endpoint.rpartition(":")[2]) for endpoint in endpoints]
        stranger = Part(stage, "stranger")

        def play(targets: list[int], number: int, cpu_s: float = 0.0) -> None:
            settings = StrangerPlan(targets, seed + number, plan.lasts_s, cpu_s)
            stranger.play("chaos.stranger", settings)

        attackers = Attackers(
            [stranger], lambda n: play(ports, n), lambda n, cpu_s: play([], n, cpu_s)
        )
        largest = besiege(stage, attackers, plan.rounds)
        entries = stage.finish()
    return report_of("strangers", seed, entries, largest, is_timed=plan.is_timed)
