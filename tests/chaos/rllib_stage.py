"""A stage whose learner is a real PPO driver with remote runners inside Ray."""

from __future__ import annotations

import random
from pathlib import Path

import psutil
from support.running import wait_until

from chaos.diary import Entry
from chaos.referee import Findings, learner_name
from chaos.rllib_learner import RLlibPlan
from chaos.stage import Part, Stage

STARTS_WITHIN_S = 120.0


class Driver:
    """Starts broker, driver and actors of a stage without learners, and waits for all runners."""

    def __init__(self, stage: Stage, runners: int) -> None:
        self._folder = stage.folder
        stage.start_broker()
        self._part = Part(stage, "driver")
        stage.learners.append(self._part)
        settings = RLlibPlan(stage.address, str(stage.folder), runners)
        self._part.play("chaos.rllib_learner", settings)
        for index in range(len(stage.actors)):
            stage.start_actors(index)
        wait_until(lambda: self.takers >= runners, STARTS_WITHIN_S)

    @property
    def takers(self) -> int:
        """The number of runner processes that have returned data from `sample()`."""
        return sum(diary.stat().st_size > 0 for diary in self._diaries("*"))

    def choose_runner(self, rng: random.Random) -> tuple[psutil.Process, str]:
        """Returns a runner's process, and its name in `fault` entries."""
        assert self._part.process is not None
        children = psutil.Process(self._part.process.pid).children(recursive=True)
        runners = [kid for kid in children if "ray::RecordingRunner" in " ".join(kid.cmdline())]
        chosen = rng.choice(sorted(runners, key=lambda runner: runner.pid))
        [diary] = self._diaries(chosen.pid)
        worker = int(diary.name.removeprefix("runner-").partition(".")[0])
        return chosen, learner_name(worker, chosen.pid)

    def _diaries(self, pid: int | str) -> list[Path]:
        return list(self._folder.glob(f"runner-*.{pid}.diary"))


def violations_of(findings: Findings) -> list[str]:
    """Returns the violations in a run whose learner takes everything."""
    violations = list(findings.violations)
    if findings.ledger.rejected or findings.ledger.dropped:
        violations.append("batches were rejected or dropped")
    return violations


def iterations_in(entries: list[Entry]) -> int:
    """Returns the number of training iterations."""
    return sum(entry.kind == "trained" for entry in entries)
