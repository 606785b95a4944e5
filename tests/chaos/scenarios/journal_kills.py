"""A broker with a journal is killed after it has acknowledged batches as stored."""

from __future__ import annotations

from chaos.scenarios.broker_kills import Plan, run

__all__ = ["LONG", "SHORT", "run"]

SHORT = Plan(kills=5, has_journal=True, is_timed=False)
LONG = Plan(kills=100, has_journal=True)
