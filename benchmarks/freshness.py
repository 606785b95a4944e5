"""How fresh the batches were that a learner took, and how fairly they were shared out."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink


def ended(link: BrokerLink) -> tuple[int, int]:
    """Returns how many batches were stale, and how many ended as stale or consumed."""
    report = link.fresh_report(5.0)
    if report is None:
        raise TimeoutError("no report from the brokers")
    ledger = report.ledger
    return ledger.stale, ledger.stale + ledger.consumed


def mean_lag(taken: Sequence[LeasedBatch]) -> float:
    """Returns the policy lag of the batches' env steps."""
    steps = sum(batch.lease.env_steps for batch in taken)
    return sum((batch.lease.policy_lag or 0) * batch.lease.env_steps for batch in taken) / steps


def jain(counts: Sequence[int], actors: int) -> float:
    """Returns Jain's index of fairness; actors without a count delivered nothing."""
    return sum(counts) ** 2 / (actors * sum(count**2 for count in counts))
