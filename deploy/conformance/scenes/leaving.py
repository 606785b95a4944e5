"""Section 5, leaving."""

from __future__ import annotations

from headrace.deploy.conformance.faults import Section
from headrace.deploy.conformance.stage import SOON_S, Stage
from headrace.protocol.messages import Goodbye

_END_S = 10.0


def goodbye(stage: Stage) -> None:
    """Asks the process to end, as its supervisor would."""
    stage.open(3)
    broker = stage.broker
    stage.may_end = True
    stage.candidate.ask_to_end()
    stage.expect(
        lambda: stage.candidate.exit_status is not None,
        _END_S,
        Section.DELIVERY,
        "does not end when it is asked to by SIGTERM",
    )
    stage.expect(
        lambda: broker.heard(Goodbye) > 0,
        SOON_S,
        Section.DELIVERY,
        "ended without a goodbye, so the broker waits for it for ten minutes",
    )
