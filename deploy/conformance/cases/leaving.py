"""Section 5, leaving: the goodbye."""

from __future__ import annotations

from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.violations import Section
from headrace.protocol.messages import Goodbye

_END_S = 10.0


def goodbye(harness: Harness) -> None:
    """Asks the client's process to end, as its supervisor would."""
    harness.open(3)
    broker = harness.broker
    harness.may_end = True
    harness.client.ask_to_end()
    harness.expect(
        lambda: harness.client.exit_status is not None,
        _END_S,
        Section.DELIVERY,
        "does not end on SIGTERM",
    )
    harness.expect(
        lambda: broker.heard(Goodbye) > 0,
        SOON_S,
        Section.DELIVERY,
        "ended without a goodbye, so the broker waits ten minutes for it",
    )
