"""Section 5, presence, and which messages a client must ignore."""

from __future__ import annotations

import msgspec

from headrace.deploy.conformance.harness import SOON_S, Harness
from headrace.deploy.conformance.violations import Section, fail
from headrace.protocol import topics
from headrace.protocol.errors import RejectCode
from headrace.protocol.messages import Alive, Hello
from headrace.protocol.messages.headers import encode_header

_STOP_S = 3.0


def handshake(harness: Harness) -> None:
    """Leaves hellos unanswered, then answers."""
    broker = harness.broker
    broker.change(answers=False, publishes=False)
    harness.await_hello()
    harness.expect(
        lambda: broker.heard(Hello) >= 4,
        SOON_S,
        Section.DELIVERY,
        "does not repeat its hello each second until it is answered",
    )
    if broker.heard(Alive):
        fail(Section.DELIVERY, "sent alive to a broker that had not answered its hello")
    _check_topics(harness)
    broker.change(answers=True)
    hellos = broker.heard(Hello)
    harness.expect(
        lambda: broker.heard(Alive) >= 3,
        SOON_S,
        Section.DELIVERY,
        "does not send alive each second once its hello is answered",
    )
    if broker.heard(Hello) > hellos + 2:
        fail(Section.DELIVERY, "keeps sending hello after it was answered")


def _check_topics(harness: Harness) -> None:
    broker = harness.broker
    actor = broker.actor
    wanted = {
        topics.delivery_topic(actor): "its deliveries",
        topics.BEACON: "the beacon",
        topics.snapshot_topic(actor): "its snapshots",
    }
    for topic, what in wanted.items():
        harness.expect(
            lambda topic=topic: topic in broker.topics,  # type: ignore[misc]
            SOON_S,
            Section.ENDPOINTS,
            f"does not subscribe to {what}: the topic {topic!r}",
        )
    for topic in broker.topics - set(wanted):
        fail(Section.ENDPOINTS, f"subscribes to {topic!r}, which is not one of its topics")


def rubbish(harness: Harness) -> None:
    """Sends messages that no client understands, and some that a later release may send."""
    harness.open()
    broker = harness.broker
    known = msgspec.to_builtins(broker.delivery())
    for frames in (
        [],
        [b""],
        [b"\xc1\xff"],
        [msgspec.msgpack.encode(["a", "list"])],
        [msgspec.msgpack.encode({"kind": "of_a_later_release", "wire": 1})],
        [msgspec.msgpack.encode({**known, "accepted": "many"})],
        [msgspec.msgpack.encode({**known, "accepted": 2**40, "acknowledged": 2**40})],
        [encode_header(broker.delivery()), b"a frame too many"],
        [b"\x91" * 4096],
    ):
        broker.send_control(frames)
    broker.send_control([msgspec.msgpack.encode({**known, "of_a_later_release": [1, {"a": 2}]})])
    broker.send_snapshot(digest="0" * 32)
    incarnation = broker.observer.heard[0].incarnation
    later = {"kind": "reject", "wire": 1, "incarnation": incarnation, "reason": "a test"}
    broker.send_control([msgspec.msgpack.encode({**later, "code": "of_a_later_release"})])
    alive = broker.heard(Alive)
    harness.await_batch(broker.accepted + 3)
    harness.expect(
        lambda: broker.heard(Alive) >= alive + 2,
        SOON_S,
        Section.FRAMES,
        "falls silent after messages that it cannot read",
    )


def superseded(harness: Harness) -> None:
    """Rejects the client because a later process uses its actor id."""
    harness.open()
    harness.broker.reject(RejectCode.SUPERSEDED, "a later process uses this actor id")
    _expect_silence(harness, "superseded")


def wire_version(harness: Harness) -> None:
    """Sends a message of another wire version, then rejects the client's version."""
    harness.open()
    broker = harness.broker
    credit = broker.delivery()
    broker.change(window=None)
    harness.serve(1.0)
    broker.send_control([msgspec.msgpack.encode({**msgspec.to_builtins(credit), "wire": 2})])
    begun = broker.observer.newest_seq
    harness.refuse(
        lambda: broker.observer.newest_seq > begun + 1,
        1.5,
        Section.FRAMES,
        "accepts credit from a delivery of wire version 2",
    )
    broker.reject(RejectCode.UNSUPPORTED_VERSION, "this broker speaks wire version 2")
    _expect_silence(harness, "unsupported_version")


def _expect_silence(harness: Harness, code: str) -> None:
    """Allows for messages in flight and for the time that stopping takes."""
    harness.may_end = True
    harness.serve(_STOP_S)
    heard = len(harness.broker.observer.heard)
    harness.refuse(
        lambda: len(harness.broker.observer.heard) > heard,
        2.0,
        Section.DELIVERY,
        f"keeps sending after a reject {code!r} without a seq, which requires it to stop",
    )
