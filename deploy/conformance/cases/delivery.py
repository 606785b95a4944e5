"""Section 5, numbers: which batches are sent again, and when."""

from __future__ import annotations

from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.violations import Section, fail

_RESEND_S = 2.0
_LONGEST_RESEND_S = 2 * _RESEND_S * 1.5
_LOST = 3


def lost_batch(harness: Harness) -> None:
    """Loses a batch that no other follows, so that only a timeout reveals the loss."""
    broker = harness.broker
    broker.change(window=1, loses=frozenset({_LOST}))
    harness.open(_LOST - 1)
    harness.expect(
        lambda: broker.times_sent(_LOST) > 1,
        SOON_S + _LONGEST_RESEND_S,
        Section.DELIVERY,
        "does not resend a batch that is not accepted for 2 seconds",
    )
    first, second, *_ = (a.at_s for a in broker.arrivals if a.header.seq == _LOST)
    if second - first < _RESEND_S / 2:
        fail(
            Section.DELIVERY,
            f"resent a batch after {second - first:.2f} s; it should wait {_RESEND_S:g} s",
        )
    harness.await_batch(_LOST + 2)


def gap(harness: Harness) -> None:
    """Loses a batch that others follow, and reports the gap."""
    broker = harness.broker
    broker.change(window=4, loses=frozenset({_LOST}))
    harness.open(_LOST - 1)
    harness.expect(
        lambda: broker.accepted >= _LOST,
        _RESEND_S,
        Section.DELIVERY,
        f"does not resend from batch {_LOST} on when a gap is reported there",
    )
    harness.await_batch(_LOST + 4)


def full_broker(harness: Harness) -> None:
    """Accepts nothing for a while, and says so."""
    broker = harness.broker
    broker.change(window=3)
    harness.open(2)
    broker.change(accepts=False)
    broker.deliver()
    harness.serve(1.0)
    sent = len(broker.arrivals)
    harness.refuse(
        lambda: len(broker.arrivals) > sent,
        2 * _RESEND_S,
        Section.DELIVERY,
        "sends batches to a broker that sent accepts: false",
    )
    broker.change(accepts=True)
    broker.deliver(gap=True)
    harness.await_batch(broker.accepted + 4)


def reject(harness: Harness) -> None:
    """Rejects a batch."""
    broker = harness.broker
    broker.change(rejects=frozenset({_LOST}))
    harness.open(_LOST + 2)

    def has_counted_it() -> bool:
        presence = broker.presence
        return presence is not None and presence.totals.rejected == 1

    harness.expect(
        has_counted_it,
        SOON_S,
        Section.DELIVERY,
        "does not count a rejected batch in its totals, although its deliveries do",
    )
    if broker.times_sent(_LOST) > 1:
        fail(Section.DELIVERY, "resent a rejected batch")
