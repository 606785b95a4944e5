"""Section 5: restarts of the broker, and lost connections."""

from __future__ import annotations

from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol.messages import Hello, Presence, Trajectories

_RECONNECT_S = 10.0
_HELD = 3


def broker_restart(harness: Harness) -> None:
    """Restarts the broker without state after it accepted three batches."""
    _hold(harness)
    hellos = harness.broker.heard(Hello)
    harness.broker.lose_connections()
    harness.broker.become_another()
    _expect_to_be_greeted(harness, hellos, _RECONNECT_S)


def other_broker(harness: Harness) -> None:
    """Names another broker in a beacon, over connections that did not break."""
    _hold(harness)
    hellos = harness.broker.heard(Hello)
    harness.broker.become_another()
    harness.broker.send_beacon()
    _expect_to_be_greeted(harness, hellos, SOON_S)


def _hold(harness: Harness) -> None:
    """Accepts three batches and lets none of them end."""
    harness.broker.change(ends=False, up_to=_HELD)
    harness.open(_HELD)


def _expect_to_be_greeted(harness: Harness, hellos: int, within_s: float) -> None:
    broker = harness.broker
    broker.change(window=None)
    harness.expect(
        lambda: broker.heard(Hello) > hellos,
        within_s,
        Section.DELIVERY,
        "does not say hello to a broker other than the one that answered last",
    )
    harness.expect(
        lambda: broker.accepted >= _HELD,
        SOON_S,
        Section.DELIVERY,
        "does not resend unacknowledged batches to a broker that has accepted none",
    )
    if broker.observer.newest_seq > _HELD:
        fail(Section.DELIVERY, "began a batch with the credit of another broker")
    broker.change(window=2, ends=True, up_to=2**40)
    harness.await_batch(_HELD + 3)


def lost_connection(harness: Harness) -> None:
    """Drops the connections with four batches in flight, and stays the same broker."""
    broker = harness.broker
    broker.change(window=4, loses=frozenset(range(3, 7)))
    harness.open(2)
    harness.expect(
        lambda: broker.times_sent(6) > 0,
        SOON_S,
        Section.DELIVERY,
        "does not begin batches 3 to 6, for which it has credit",
    )
    broker.lose_connections()
    heard = len(broker.observer.heard)
    harness.expect(
        lambda: len(broker.observer.heard) > heard,
        _RECONNECT_S,
        Section.DELIVERY,
        "does not reconnect after its connections were lost",
    )
    harness.await_batch(8)
    after = broker.observer.heard[heard:]
    first_batch = next(n for n, message in enumerate(after) if isinstance(message, Trajectories))
    if not any(isinstance(message, Presence) for message in after[:first_batch]):
        fail(
            Section.DELIVERY,
            "sent a batch over a new connection before it sent alive or hello there",
        )
