"""Section 5: brokers that die and come back, and connections that do."""

from __future__ import annotations

from headrace.deploy.conformance.faults import Section, fail
from headrace.deploy.conformance.stage import SOON_S, Stage
from headrace.protocol.messages import Hello, Presence, Trajectories

_RECONNECT_S = 10.0
_HELD = 3


def broker_restart(stage: Stage) -> None:
    """Dies with three batches that it had accepted, and comes back knowing nothing."""
    _hold(stage)
    hellos = stage.broker.heard(Hello)
    stage.broker.lose_connections()
    stage.broker.become_another()
    _expect_to_be_greeted(stage, hellos, _RECONNECT_S)


def other_broker(stage: Stage) -> None:
    """Lets a beacon name another broker, at connections that did not break."""
    _hold(stage)
    hellos = stage.broker.heard(Hello)
    stage.broker.become_another()
    stage.broker.send_beacon()
    _expect_to_be_greeted(stage, hellos, SOON_S)


def _hold(stage: Stage) -> None:
    """Accepts three batches and lets none of them end."""
    stage.broker.change(ends=False, up_to=_HELD)
    stage.open(_HELD)


def _expect_to_be_greeted(stage: Stage, hellos: int, within_s: float) -> None:
    broker = stage.broker
    broker.change(window=None)
    stage.expect(
        lambda: broker.heard(Hello) > hellos,
        within_s,
        Section.DELIVERY,
        "does not say hello to another broker than the one that answered last",
    )
    stage.expect(
        lambda: broker.accepted >= _HELD,
        SOON_S,
        Section.DELIVERY,
        "does not send again, to a broker that has accepted nothing, what was not acknowledged",
    )
    if broker.observer.newest_seq > _HELD:
        fail(Section.DELIVERY, "began a batch with the credit of another broker")
    broker.change(window=2, ends=True, up_to=2**40)
    stage.await_batch(_HELD + 3)


def lost_connection(stage: Stage) -> None:
    """Loses four batches with the connections, and stays the same broker."""
    broker = stage.broker
    broker.change(window=4, loses=frozenset(range(3, 7)))
    stage.open(2)
    stage.expect(
        lambda: broker.times_sent(6) > 0,
        SOON_S,
        Section.DELIVERY,
        "does not begin batches 3 to 6, for which it has credit",
    )
    broker.lose_connections()
    heard = len(broker.observer.heard)
    stage.expect(
        lambda: len(broker.observer.heard) > heard,
        _RECONNECT_S,
        Section.DELIVERY,
        "does not come back after its connections were lost",
    )
    stage.await_batch(8)
    after = broker.observer.heard[heard:]
    first_batch = next(n for n, message in enumerate(after) if isinstance(message, Trajectories))
    if not any(isinstance(message, Presence) for message in after[:first_batch]):
        fail(
            Section.DELIVERY,
            "sent a batch over a new connection before it had said alive or hello there",
        )
