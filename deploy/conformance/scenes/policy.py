"""Section 5, snapshots: which weights a client takes."""

from __future__ import annotations

from headrace.deploy.conformance.conduct import FIRST_VERSION
from headrace.deploy.conformance.faults import Section
from headrace.deploy.conformance.policy import make_policy
from headrace.deploy.conformance.stage import SOON_S, Stage
from headrace.protocol import topics
from headrace.protocol.identity import PolicyVersion

_A_WHILE_S = 2.0


def late_weights(stage: Stage) -> None:
    """Grants credit before there are weights."""
    broker = stage.broker
    stage.await_hello()
    stage.refuse(
        lambda: broker.observer.newest_seq > 0,
        _A_WHILE_S,
        Section.DELIVERY,
        "sent a batch before it had any weights",
    )
    broker.publish(stage.policy, FIRST_VERSION)
    stage.await_version(FIRST_VERSION, "after its first snapshot")
    stage.await_batch(2)
    _expect_subscription(stage, stage.policy.manifest.run)


def newer_weights(stage: Stage) -> None:
    """Publishes weights: newer ones, older ones, and some of another policy."""
    stage.open()
    broker, policy = stage.broker, stage.policy
    _expect_subscription(stage, policy.manifest.run)
    broker.publish(stage.policy, PolicyVersion(1, 2))
    stage.await_version(PolicyVersion(1, 2), "after weights of its policy came")
    _expect_batch_of(stage, PolicyVersion(1, 2))
    broker.send_weights(policy, FIRST_VERSION, policy.digest)
    _refuse_version(stage, FIRST_VERSION, "older weights")
    broker.send_weights(policy, PolicyVersion(1, 9), "0" * 32)
    _refuse_version(stage, PolicyVersion(1, 9), "weights of a policy that it does not have")


def lost_weights(stage: Stage) -> None:
    """Publishes weights that never arrive, and sends a snapshot to who stayed behind."""
    stage.open()
    stage.broker.change(announces=False)
    stage.broker.publish(stage.policy, PolicyVersion(1, 2))
    stage.await_version(PolicyVersion(1, 2), "after a snapshot of newer weights")
    _expect_batch_of(stage, PolicyVersion(1, 2))


def new_epoch(stage: Stage) -> None:
    """Begins an epoch, in which numbers start anew."""
    stage.open()
    broker = stage.broker
    broker.publish(stage.policy, PolicyVersion(1, 5))
    stage.await_version(PolicyVersion(1, 5), "after weights of its policy came")
    broker.publish(stage.policy, PolicyVersion(2, 1))
    stage.await_version(PolicyVersion(2, 1), "after a snapshot of a later epoch")
    broker.change(min_version=PolicyVersion(2, 1))
    broker.send_weights(stage.policy, PolicyVersion(1, 6), stage.policy.digest)
    _refuse_version(stage, PolicyVersion(1, 6), "weights of an earlier epoch")
    _expect_batch_of(stage, PolicyVersion(2, 1))


def new_run(stage: Stage) -> None:
    """Publishes another run, whose versions are lower."""
    stage.open()
    broker = stage.broker
    broker.publish(stage.policy, PolicyVersion(3, 3))
    stage.await_version(PolicyVersion(3, 3), "after weights of its policy came")
    other = make_policy("another-run")
    broker.change(min_version=FIRST_VERSION)
    broker.publish(other, PolicyVersion(2, 1))
    stage.await_version(PolicyVersion(2, 1), "after a snapshot of another run")
    _expect_subscription(stage, "another-run")
    stage.expect(
        lambda: any(arrival.header.run == "another-run" for arrival in broker.arrivals),
        SOON_S,
        Section.DELIVERY,
        "sends no batch of the run that it has a snapshot of",
    )


def _expect_subscription(stage: Stage, run: str) -> None:
    topic = topics.weights_topic(run)
    stage.expect(
        lambda: topic in stage.broker.topics,
        SOON_S,
        Section.ENDPOINTS,
        f"does not subscribe to the weights of its run: the topic {topic!r}",
    )


def _expect_batch_of(stage: Stage, version: PolicyVersion) -> None:
    broker = stage.broker
    stage.expect(
        lambda: any(arrival.header.version == version for arrival in broker.arrivals),
        SOON_S,
        Section.DELIVERY,
        f"acts on with other weights than {version}, which it has",
    )


def _refuse_version(stage: Stage, version: PolicyVersion, what: str) -> None:
    def took_it() -> bool:
        presence = stage.broker.presence
        return presence is not None and presence.version == version

    stage.refuse(took_it, _A_WHILE_S, Section.DELIVERY, f"took {what}: version {version}")
