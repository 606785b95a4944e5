"""A peer with a valid actor key subscribes endlessly, or ignores credit."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from chaos.diary import read_diaries
from chaos.insider import InsiderPlan
from chaos.report import Report
from chaos.siege import BOUND_MIB, Attackers, SiegePlan, besiege, report_of
from chaos.stage import Part, Stage
from chaos.throughput import Throughput

_ATTACKS = ("subscribe", "overload")
_OVERLOAD = 5.0
_LEARNER_TRAINS_S = 0.02
_CALM_S = 4.0


SHORT = SiegePlan(rounds=2, lasts_s=4.0, is_timed=False)
LONG = SiegePlan(rounds=8)


def run(plan: SiegePlan, folder: Path, seed: int) -> Report:
    """Compares the honest fleet's rate with its rate while the insider only uses CPU time."""
    with Stage(folder, actors=plan.actors, actors_per_process=4, learners=plan.learners) as stage:
        stage.use_keys()
        stage.broker_options += ["--max-memory-mib", str(BOUND_MIB)]
        stage.start_all(actor={}, learner={"train_s": _LEARNER_TRAINS_S})
        insider = Part(stage, "insider")
        threading.Event().wait(_CALM_S)
        now_s = time.monotonic()
        usual_per_s = Throughput(read_diaries(folder)).between(now_s - _CALM_S / 2, now_s)

        def play(attack: str, number: int, cpu_s: float = 0.0) -> None:
            insider.play(
                "chaos.insider",
                InsiderPlan(
                    attack=attack,
                    address=stage.address,
                    # A new key each time, since the last one may be quarantined.
                    join=str(stage.invite("actor", f"{attack}-{number}")),
                    diary=str(folder / "insider.diary"),
                    life=number,
                    lasts_s=plan.lasts_s,
                    batches_per_s=_OVERLOAD * usual_per_s,
                    cpu_s=cpu_s,
                ),
            )

        def attack(number: int) -> None:
            play(_ATTACKS[number % len(_ATTACKS)], number)

        attackers = Attackers([insider], attack, lambda n, cpu_s: play("none", n, cpu_s))
        largest = besiege(stage, attackers, plan.rounds)
        entries = stage.finish()
    more = {"usual batches/s": round(usual_per_s)}
    return report_of("insiders", seed, entries, largest, is_timed=plan.is_timed, more=more)
