"""Section 5, credit: when a batch may be begun, and when it must be closed."""

from __future__ import annotations

from headrace.deploy.conformance.conduct import FIRST_VERSION
from headrace.deploy.conformance.faults import Section, fail
from headrace.deploy.conformance.stage import SOON_S, Stage
from headrace.protocol.identity import PolicyVersion

_A_WHILE_S = 2.0
_ENDLESS_STEPS = 2**20
_ENDLESS_S = 600.0


def up_to(stage: Stage) -> None:
    """Grants no credit, then three batches, then five.

    That no batch comes which has no credit is what the observer watches for, always.
    """
    broker = stage.broker
    broker.change(window=None)
    broker.publish(stage.policy, FIRST_VERSION)
    stage.await_hello()
    stage.serve(_A_WHILE_S)
    broker.change(window=2, up_to=3)
    stage.await_batch(3)
    stage.serve(_A_WHILE_S)
    broker.change(up_to=5)
    stage.await_batch(5)
    stage.serve(_A_WHILE_S)


def min_version(stage: Stage) -> None:
    """Grants credit that asks for weights which come later."""
    broker = stage.broker
    broker.change(up_to=2)
    stage.open(2)
    broker.change(up_to=6, min_version=PolicyVersion(1, 2))
    stage.refuse(
        lambda: broker.observer.newest_seq > 2,
        _A_WHILE_S,
        Section.DELIVERY,
        "began a batch with weights 1.1 under credit that asks for 1.2",
    )
    broker.publish(stage.policy, PolicyVersion(1, 2))
    stage.await_batch(4)


def fragments(stage: Stage) -> None:
    """Asks for batches of seven steps, then for batches of a third of a second."""
    broker = stage.broker
    broker.change(fragment_steps=7)
    stage.open(4)
    steps = [arrival.header.env_steps for arrival in broker.arrivals]
    if set(steps) != {7}:
        fail(
            Section.DELIVERY,
            f"closed batches after {steps} env steps, where fragment_steps is 7 and there was time",
        )
    broker.change(fragment_steps=_ENDLESS_STEPS, fragment_s=0.3)
    before = broker.accepted
    stage.expect(
        lambda: broker.accepted >= before + 4,
        SOON_S,
        Section.DELIVERY,
        "does not close a batch after fragment_s, 0.3 seconds",
    )


def cut_on_new_weights(stage: Stage) -> None:
    """Lets a batch grow without end, and publishes while it does."""
    broker = stage.broker
    stage.open(2)
    broker.change(fragment_steps=_ENDLESS_STEPS, fragment_s=_ENDLESS_S)
    stage.serve(1.0)
    before = broker.accepted
    broker.publish(stage.policy, PolicyVersion(1, 2))
    stage.expect(
        lambda: broker.accepted > before,
        SOON_S,
        Section.DELIVERY,
        "goes on with a batch although newer weights came and the manifest says cut_on_new_weights",
    )
