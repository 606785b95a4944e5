"""Section 5, snapshots: which weights a client adopts."""

from __future__ import annotations

from headrace.deploy.conformance.behaviour import FIRST_VERSION
from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.policy import make_policy
from headrace.deploy.conformance.violations import Section
from headrace.protocol import topics
from headrace.protocol.identity import PolicyVersion

_A_WHILE_S = 2.0


def late_weights(harness: Harness) -> None:
    """Grants credit before there are weights."""
    broker = harness.broker
    harness.await_hello()
    harness.refuse(
        lambda: broker.observer.newest_seq > 0,
        _A_WHILE_S,
        Section.DELIVERY,
        "sent a batch before it had any weights",
    )
    broker.publish(harness.policy, FIRST_VERSION)
    harness.await_version(FIRST_VERSION, "after its first snapshot")
    harness.await_batch(2)
    _expect_subscription(harness, harness.policy.manifest.run)


def newer_weights(harness: Harness) -> None:
    """Publishes weights: newer ones, older ones, and some of another policy."""
    harness.open()
    broker, policy = harness.broker, harness.policy
    _expect_subscription(harness, policy.manifest.run)
    broker.publish(harness.policy, PolicyVersion(1, 2))
    harness.await_version(PolicyVersion(1, 2), "after weights of its policy arrived")
    _expect_batch_of(harness, PolicyVersion(1, 2))
    broker.send_weights(policy, FIRST_VERSION, policy.digest)
    _refuse_version(harness, FIRST_VERSION, "older weights")
    broker.send_weights(policy, PolicyVersion(1, 9), "0" * 32)
    _refuse_version(harness, PolicyVersion(1, 9), "weights of a policy that it does not have")


def lost_weights(harness: Harness) -> None:
    """Publishes weights that never arrive, then sends a snapshot because the client is behind."""
    harness.open()
    harness.broker.change(announces=False)
    harness.broker.publish(harness.policy, PolicyVersion(1, 2))
    harness.await_version(PolicyVersion(1, 2), "after a snapshot of newer weights")
    _expect_batch_of(harness, PolicyVersion(1, 2))


def new_epoch(harness: Harness) -> None:
    """Begins an epoch, in which numbers restart."""
    harness.open()
    broker = harness.broker
    broker.publish(harness.policy, PolicyVersion(1, 5))
    harness.await_version(PolicyVersion(1, 5), "after weights of its policy arrived")
    broker.publish(harness.policy, PolicyVersion(2, 1))
    harness.await_version(PolicyVersion(2, 1), "after a snapshot of a later epoch")
    broker.change(min_version=PolicyVersion(2, 1))
    broker.send_weights(harness.policy, PolicyVersion(1, 6), harness.policy.digest)
    _refuse_version(harness, PolicyVersion(1, 6), "weights of an earlier epoch")
    _expect_batch_of(harness, PolicyVersion(2, 1))


def new_run(harness: Harness) -> None:
    """Publishes another run, whose versions are lower."""
    harness.open()
    broker = harness.broker
    broker.publish(harness.policy, PolicyVersion(3, 3))
    harness.await_version(PolicyVersion(3, 3), "after weights of its policy arrived")
    other = make_policy("another-run")
    broker.change(min_version=FIRST_VERSION)
    broker.publish(other, PolicyVersion(2, 1))
    harness.await_version(PolicyVersion(2, 1), "after a snapshot of another run")
    _expect_subscription(harness, "another-run")
    harness.expect(
        lambda: any(arrival.header.run == "another-run" for arrival in broker.arrivals),
        SOON_S,
        Section.DELIVERY,
        "sends no batch of the run that it has a snapshot of",
    )


def _expect_subscription(harness: Harness, run: str) -> None:
    topic = topics.weights_topic(run)
    harness.expect(
        lambda: topic in harness.broker.topics,
        SOON_S,
        Section.ENDPOINTS,
        f"does not subscribe to the weights of its run: the topic {topic!r}",
    )


def _expect_batch_of(harness: Harness, version: PolicyVersion) -> None:
    broker = harness.broker
    harness.expect(
        lambda: any(arrival.header.version == version for arrival in broker.arrivals),
        SOON_S,
        Section.DELIVERY,
        f"keeps acting with weights other than {version}, which it has",
    )


def _refuse_version(harness: Harness, version: PolicyVersion, what: str) -> None:
    def took_it() -> bool:
        presence = harness.broker.presence
        return presence is not None and presence.version == version

    harness.refuse(took_it, _A_WHILE_S, Section.DELIVERY, f"adopted {what}: version {version}")
