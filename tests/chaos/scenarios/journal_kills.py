"""A broker with a journal is killed: actors were told that it answers for what they delivered."""

from __future__ import annotations

from chaos.scenarios.broker_kills import Plan, run

__all__ = ["LONG", "SHORT", "run"]

SHORT = Plan(kills=5, has_journal=True, is_timed=False)
LONG = Plan(kills=100, has_journal=True)
