"""Section 5, credit: when a batch may be begun, and when it must be closed."""

from __future__ import annotations

from headrace.deploy.conformance.behaviour import FIRST_VERSION
from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol.identity import PolicyVersion

_A_WHILE_S = 2.0
_ENDLESS_STEPS = 2**20
_ENDLESS_S = 600.0


def up_to(harness: Harness) -> None:
    """Grants no credit, then three batches, then five.

    The observer checks in every case that no batch is begun without credit.
    """
    broker = harness.broker
    broker.change(window=None)
    broker.publish(harness.policy, FIRST_VERSION)
    harness.await_hello()
    harness.serve(_A_WHILE_S)
    broker.change(window=2, up_to=3)
    harness.await_batch(3)
    harness.serve(_A_WHILE_S)
    broker.change(up_to=5)
    harness.await_batch(5)
    harness.serve(_A_WHILE_S)


def min_version(harness: Harness) -> None:
    """Grants credit that requires a version before publishing it."""
    broker = harness.broker
    broker.change(up_to=2)
    harness.open(2)
    broker.change(up_to=6, min_version=PolicyVersion(1, 2))
    harness.refuse(
        lambda: broker.observer.newest_seq > 2,
        _A_WHILE_S,
        Section.DELIVERY,
        "began a batch with weights 1.1 under credit that requires 1.2",
    )
    broker.publish(harness.policy, PolicyVersion(1, 2))
    harness.await_batch(4)


def fragments(harness: Harness) -> None:
    """Asks for batches of seven steps, then for batches of a third of a second."""
    broker = harness.broker
    broker.change(fragment_steps=7)
    harness.open(4)
    steps = [arrival.header.env_steps for arrival in broker.arrivals]
    if set(steps) != {7}:
        fail(
            Section.DELIVERY,
            f"closed batches after {steps} env steps, although fragment_steps is 7 and fragment_s "
            "had not passed",
        )
    broker.change(fragment_steps=_ENDLESS_STEPS, fragment_s=0.3)
    before = broker.accepted
    harness.expect(
        lambda: broker.accepted >= before + 4,
        SOON_S,
        Section.DELIVERY,
        "does not close a batch after fragment_s, 0.3 seconds",
    )


def cut_on_new_weights(harness: Harness) -> None:
    """Lets a batch grow without limit, and publishes meanwhile."""
    broker = harness.broker
    harness.open(2)
    broker.change(fragment_steps=_ENDLESS_STEPS, fragment_s=_ENDLESS_S)
    harness.serve(1.0)
    before = broker.accepted
    broker.publish(harness.policy, PolicyVersion(1, 2))
    harness.expect(
        lambda: broker.accepted > before,
        SOON_S,
        Section.DELIVERY,
        "continues a batch although newer weights arrived and the manifest sets cut_on_new_weights",
    )
