"""Rubbish on every real socket: counted, answered where possible, survived."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from support.examples import RUN, make_payload
from support.machine import scaled
from support.raw_zmtp import RawPeer
from support.running import (
    BrokerThread,
    Context,
    Learner,
    connect,
    first_policy,
    push,
    wait_until,
)

from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Delivery, Hello, Reject, Trajectories
from headrace.protocol.messages.headers import control_decoder, encode_header
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic

SEED = 20261122


def hostile_frames(rng: random.Random) -> list[list[bytes]]:
    print(f"seed {SEED}")
    object_array = {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": b"cos\n"}
    header = Trajectories(
        actor="evil",
        incarnation=1,
        seq=1,
        run=RUN,
        version=PolicyVersion(1, 1),
        env_steps=5,
    )
    payloads: list[Any] = [
        msgpack.packb({"m": object_array}),
        msgpack.packb({"m": {b"nd": True, b"type": "<f8", b"shape": [2**40], b"data": b""}}),
        b"\x81" * 10_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        make_payload()[:-3],
    ]
    crafted = [[encode_header(header), payload] for payload in payloads]
    noise = [
        [rng.randbytes(rng.randrange(200)) for _ in range(rng.randrange(1, 5))] for _ in range(200)
    ]
    return [*crafted, *noise, [b""], [b"\x00"], [b"\x01"]]


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("ingest", zmq.PUSH),
        ("learner", zmq.DEALER),
        ("control", zmq.XSUB),
        ("weights", zmq.XSUB),
    ],
)
def test_rubbish_at_any_endpoint_leaves_the_broker_serving(
    broker: BrokerThread, context: Context, endpoint: str, kind: int
) -> None:
    with Learner(context, broker.address) as learner, connect(broker, context, "a") as client:
        learner.publish(1)
        update = first_policy(client)
        socket = context.socket(kind)
        socket.connect(getattr(BrokerAddress.parse(broker.address), endpoint))
        for frames in hostile_frames(random.Random(SEED)):
            socket.send_multipart(frames)
        push(client, update)
        assert len(learner.take(5)) == 1
        if endpoint in ("ingest", "learner"):
            wait_until(lambda: broker.status.rejects.get("malformed", 0) > 100)
        else:
            # A subscription after the rubbish is served, so all of that has been read.
            topic = BEACON if endpoint == "control" else snapshot_topic("late")
            socket.set(zmq.RCVTIMEO, round(scaled(5000)))
            socket.send(b"\x01" + topic)
            while socket.recv_multipart()[0] != topic:
                pass
        socket.close(linger=0)


class RawActor:
    """An actor that encodes messages by hand, as a client in another language would."""

    def __init__(self, context: Context, address: str) -> None:
        endpoints = BrokerAddress.parse(address)
        self.push = context.socket(zmq.PUSH)
        self.push.connect(endpoints.ingest)
        self.control = context.socket(zmq.SUB)
        self.control.subscribe(delivery_topic("raw"))
        self.control.connect(endpoints.control)
        self.control.set(zmq.RCVTIMEO, round(scaled(5000)))
        self.push.send(encode_header(Hello(actor="raw", incarnation=5)))

    def close(self) -> None:
        self.push.close(linger=0)
        self.control.close(linger=0)

    def receive(self, wanted: Callable[[Delivery | Reject], bool]) -> Delivery | Reject:
        while True:
            message, _ = control_decoder().decode(self.control.recv_multipart()[1:])
            assert isinstance(message, Delivery | Reject)
            if wanted(message):
                return message

    def send(self, seq: int, payload: bytes, **header: object) -> None:
        fields: dict[str, object] = {
            "actor": "raw",
            "incarnation": 5,
            "run": RUN,
            "version": PolicyVersion(1, 1),
            "env_steps": 5,
        }
        message = Trajectories(seq=seq, **{**fields, **header})  # type: ignore[arg-type]
        self.push.send_multipart([encode_header(message), payload])


@pytest.mark.parametrize(
    ("payload", "header", "reason"),
    [
        (make_payload(obs=np.zeros((7, 3), np.float32)), {}, "shape"),
        (make_payload(rewards=np.full(5, np.inf, np.float32)), {}, "not finite"),
        (make_payload(rewards=np.ones(4, np.float32)), {}, "rows"),
        (make_payload(), {"run": "other"}, "other"),
        (b"\xc1", {}, "msgpack"),
    ],
)
def test_a_raw_actor_is_sent_the_reason_for_a_reject(
    broker: BrokerThread,
    context: Context,
    payload: bytes,
    header: dict[str, object],
    reason: str,
) -> None:
    actor = RawActor(context, broker.address)
    with Learner(context, broker.address) as learner, closing(actor):
        learner.publish(1)
        actor.receive(lambda m: isinstance(m, Delivery) and m.credit is not None)
        actor.send(1, payload, **header)
        reject = actor.receive(lambda m: isinstance(m, Reject))
        assert isinstance(reject, Reject)
        assert reason in reject.reason
        actor.send(2, make_payload())
        actor.receive(lambda m: isinstance(m, Delivery) and m.accepted == 2)
        assert [batch.lease.seq for batch in learner.take(5)] == [2]


def test_an_actor_of_another_wire_version_is_rejected(
    broker: BrokerThread, context: Context
) -> None:
    with closing(RawActor(context, broker.address)) as actor:
        actor.receive(lambda m: isinstance(m, Delivery))
        hello = Hello(actor="raw", incarnation=6, wire=9, wire_min=8, wire_max=9)
        actor.push.send(encode_header(hello))
        reject = actor.receive(lambda m: isinstance(m, Reject))
        assert isinstance(reject, Reject)
        assert (reject.incarnation, reject.code) == (6, RejectCode.UNSUPPORTED_VERSION)


def test_a_peer_that_subscribes_endlessly_is_disconnected_and_the_others_continue(
    context: Context, broker: BrokerThread
) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    with (
        Learner(context, broker.address) as learner,
        connect(broker, context, "honest") as honest,
    ):
        learner.publish(1)
        update = first_policy(honest)
        peer = RawPeer(BrokerAddress.parse(broker.address).control)
        peer.greet("SUB")
        with closing(peer):
            storm = (peer.subscribe(rng.randbytes(100) for _ in range(1000)) for _ in range(1000))
            assert any(storm), "100 MB of subscriptions were taken"
        push(honest, update)
        assert [batch.lease.actor for batch in learner.take(5)] == ["honest"]
