"""Section 5, numbers: what is sent again, when, and what is not."""

from __future__ import annotations

from headrace.deploy.conformance.faults import Section, fail
from headrace.deploy.conformance.stage import SOON_S, Stage

_RESEND_S = 2.0
_LONGEST_RESEND_S = 2 * _RESEND_S * 1.5
_LOST = 3


def lost_batch(stage: Stage) -> None:
    """Loses a batch behind which nothing comes: only time tells that it is missing."""
    broker = stage.broker
    broker.change(window=1, loses=frozenset({_LOST}))
    stage.open(_LOST - 1)
    stage.expect(
        lambda: broker.times_sent(_LOST) > 1,
        SOON_S + _LONGEST_RESEND_S,
        Section.DELIVERY,
        "does not repeat a batch that is not accepted for 2 seconds",
    )
    first, second, *_ = (a.at_s for a in broker.arrivals if a.header.seq == _LOST)
    if second - first < _RESEND_S / 2:
        fail(
            Section.DELIVERY,
            f"repeated a batch after {second - first:.2f} s; it should wait {_RESEND_S:g} s",
        )
    stage.await_batch(_LOST + 2)


def gap(stage: Stage) -> None:
    """Loses a batch that others follow, and tells of the gap."""
    broker = stage.broker
    broker.change(window=4, loses=frozenset({_LOST}))
    stage.open(_LOST - 1)
    stage.expect(
        lambda: broker.accepted >= _LOST,
        _RESEND_S,
        Section.DELIVERY,
        f"does not send again from batch {_LOST} on when told of a gap there",
    )
    stage.await_batch(_LOST + 4)


def full_broker(stage: Stage) -> None:
    """Accepts nothing for a while, and says so."""
    broker = stage.broker
    broker.change(window=3)
    stage.open(2)
    broker.change(accepts=False)
    broker.deliver()
    stage.serve(1.0)
    sent = len(broker.arrivals)
    stage.refuse(
        lambda: len(broker.arrivals) > sent,
        2 * _RESEND_S,
        Section.DELIVERY,
        "sends batches to a broker that said accepts: false",
    )
    broker.change(accepts=True)
    broker.deliver(gap=True)
    stage.await_batch(broker.accepted + 4)


def reject(stage: Stage) -> None:
    """Turns a batch away."""
    broker = stage.broker
    broker.change(rejects=frozenset({_LOST}))
    stage.open(_LOST + 2)

    def has_counted_it() -> bool:
        presence = broker.presence
        return presence is not None and presence.totals.rejected == 1

    stage.expect(
        has_counted_it,
        SOON_S,
        Section.DELIVERY,
        "does not count a rejected batch in its totals, as its deliveries tell",
    )
    if broker.times_sent(_LOST) > 1:
        fail(Section.DELIVERY, "sent a rejected batch again")
