"""The reports of several brokers as one: their books add up."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.protocol.messages import FleetReport, Ledger
from headrace.protocol.messages.parts import summed


def merged_report(reports: Sequence[tuple[FleetReport | None, bool]]) -> FleetReport | None:
    """Returns the reports of several brokers as one; None without any.

    Args:
        reports: each with whether its broker is live; of others, only the ledger counts.
    """
    known = [report for report, _ in reports if report is not None]
    live = [report for report, is_live in reports if report is not None and is_live]
    if not known:
        return None
    return msgspec.structs.replace(
        known[0],
        queue_env_steps=sum(report.queue_env_steps for report in live),
        actors=sum(report.actors for report in live),
        evaluators=sum(report.evaluators for report in live),
        ledger=summed(Ledger, [report.ledger for report in known]),
        stopping=any(report.stopping for report in known),
    )
