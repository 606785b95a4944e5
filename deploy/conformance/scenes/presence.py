"""Section 5: who is there, and which messages are read at all."""

from __future__ import annotations

import msgspec

from headrace.deploy.conformance.faults import Section, fail
from headrace.deploy.conformance.stage import SOON_S, Stage
from headrace.protocol import topics
from headrace.protocol.errors import RejectCode
from headrace.protocol.messages import Alive, Hello
from headrace.protocol.messages.headers import encode_header

_STOP_S = 3.0


def handshake(stage: Stage) -> None:
    """Leaves hellos unanswered, then answers."""
    broker = stage.broker
    broker.change(answers=False, publishes=False)
    stage.await_hello()
    stage.expect(
        lambda: broker.heard(Hello) >= 4,
        SOON_S,
        Section.DELIVERY,
        "does not repeat its hello each second until it is answered",
    )
    if broker.heard(Alive):
        fail(Section.DELIVERY, "said alive to a broker that had not answered its hello")
    _check_topics(stage)
    broker.change(answers=True)
    hellos = broker.heard(Hello)
    stage.expect(
        lambda: broker.heard(Alive) >= 3,
        SOON_S,
        Section.DELIVERY,
        "does not say alive each second once its hello is answered",
    )
    if broker.heard(Hello) > hellos + 2:
        fail(Section.DELIVERY, "goes on with hellos after they were answered")


def _check_topics(stage: Stage) -> None:
    broker = stage.broker
    actor = broker.actor
    wanted = {
        topics.delivery_topic(actor): "its deliveries",
        topics.BEACON: "the beacon",
        topics.snapshot_topic(actor): "its snapshots",
    }
    for topic, what in wanted.items():
        stage.expect(
            lambda topic=topic: topic in broker.topics,  # type: ignore[misc]
            SOON_S,
            Section.ENDPOINTS,
            f"does not subscribe to {what}: the topic {topic!r}",
        )
    for topic in broker.topics - set(wanted):
        fail(Section.ENDPOINTS, f"subscribes to {topic!r}, which is nothing of its own")


def rubbish(stage: Stage) -> None:
    """Sends what no client understands, and some of what a later release may send."""
    stage.open()
    broker = stage.broker
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
    stage.await_batch(broker.accepted + 3)
    stage.expect(
        lambda: broker.heard(Alive) >= alive + 2,
        SOON_S,
        Section.FRAMES,
        "says nothing more after messages that it cannot read",
    )


def superseded(stage: Stage) -> None:
    """Tells the client that a later process uses its actor id."""
    stage.open()
    stage.broker.reject(RejectCode.SUPERSEDED, "a later process uses this actor id")
    _expect_silence(stage, "superseded")


def wire_version(stage: Stage) -> None:
    """Speaks another version to it, then refuses its own."""
    stage.open()
    broker = stage.broker
    credit = broker.delivery()
    broker.change(window=None)
    stage.serve(1.0)
    broker.send_control([msgspec.msgpack.encode({**msgspec.to_builtins(credit), "wire": 2})])
    begun = broker.observer.newest_seq
    stage.refuse(
        lambda: broker.observer.newest_seq > begun + 1,
        1.5,
        Section.FRAMES,
        "takes credit from a delivery of wire version 2",
    )
    broker.reject(RejectCode.UNSUPPORTED_VERSION, "this broker speaks wire version 2")
    _expect_silence(stage, "unsupported_version")


def _expect_silence(stage: Stage, code: str) -> None:
    """Allows what was under way, and the time that ending takes."""
    stage.may_end = True
    stage.serve(_STOP_S)
    heard = len(stage.broker.observer.heard)
    stage.refuse(
        lambda: len(stage.broker.observer.heard) > heard,
        2.0,
        Section.DELIVERY,
        f"goes on after a reject {code!r} without a seq, upon which it must stop",
    )
