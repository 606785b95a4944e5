"""The driver of a run with three brokers is killed and resumed; no actor goes back."""

from __future__ import annotations

from pathlib import Path

from chaos.report import Report
from chaos.scenarios import driver_kills
from chaos.scenarios.driver_kills import Plan

SHORT = Plan(kills=1, stop="env_steps = 20_000", brokers=3)
LONG = Plan(kills=5, stop="episode_return_mean = 450, wall_s = 600", brokers=3)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Kills drivers; the run must finish, and no actor may go back to older weights."""
    return driver_kills.run(plan, folder, seed)
