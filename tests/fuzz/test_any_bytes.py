"""Any bytes decode to a message or raise RemoteProtocolError, and never stop the router."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgpack_numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.conversation import FakeFleet
from support.examples import make_payload
from support.vectors import all_vectors

from headrace.broker.config import RouterConfig
from headrace.broker.routing.effects import PublishControl, PublishWeights, SendToLearner
from headrace.broker.routing.router import Router
from headrace.protocol.compression import compress, decompress
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.manifest import decode_policy
from headrace.protocol.messages.headers import (
    control_decoder,
    encode_header,
    from_learner_decoder,
    ingest_decoder,
    to_learner_decoder,
    weights_decoder,
)
from headrace.protocol.payload import decode_payload
from headrace.protocol.trajectory import unpack_batch

DECODERS: list[Any] = [
    ingest_decoder(),
    control_decoder(),
    weights_decoder(),
    from_learner_decoder(),
    to_learner_decoder(),
]
FRAMES = [frame for vector in all_vectors().values() for frame in vector.frames]
FRAMES.append(compress("lz4", make_payload([50]))[1])


@st.composite
def mutated_frames(draw: st.DrawFn) -> bytes:
    """A legal frame with a few bytes changed, removed or inserted."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(frame)))
        kind = draw(st.sampled_from(["change", "cut", "insert"]))
        if kind == "change" and position < len(frame):
            frame[position] = draw(st.integers(0, 255))
        elif kind == "cut":
            del frame[position : position + draw(st.integers(1, 8))]
        else:
            frame[position:position] = draw(st.binary(max_size=8))
    return bytes(frame)


any_frame = st.one_of(st.binary(max_size=200), mutated_frames())
any_message = st.lists(any_frame, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def patched_msgpack() -> None:
    """RLlib patches msgpack process-wide, after which msgpack's own functions unpickle."""
    msgpack_numpy.patch()


@settings(max_examples=400, deadline=None)
@given(any_message)
def test_decoders_survive_any_frames(frames: list[bytes]) -> None:
    for decoder in DECODERS:
        try:
            decoder.decode(frames)
        except RemoteProtocolError:
            continue


@settings(max_examples=400, deadline=None)
@given(any_frame)
def test_payload_decoders_survive_any_bytes(frame: bytes) -> None:
    for decode in (decode_payload, unpack_batch, decode_policy, partial(decompress, "lz4")):
        try:
            decode(frame)
        except RemoteProtocolError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), any_message), max_size=10))
def test_the_router_survives_any_messages_between_legal_ones(
    messages: list[tuple[int, list[bytes]]],
) -> None:
    fleet = FakeFleet(Router(RouterConfig(), 1, 0.0))
    fleet.publish()
    fleet.join("honest")
    for endpoint, frames in messages:
        event = frames[0] if frames else b""
        if endpoint == 0:
            fleet.router.on_ingest(frames, fleet.now_s)
        elif endpoint == 1:
            fleet.router.on_learner([b"peer", *frames], fleet.now_s)
        elif endpoint == 2:
            fleet.router.on_control_subscription(event[1:], event[:1] == b"\1", fleet.now_s)
        else:
            fleet.router.on_weights_subscription(event[1:], event[:1] == b"\1", fleet.now_s)
        for effect in fleet.router.take_effects(fleet.now_s):
            if isinstance(effect, PublishControl | PublishWeights | SendToLearner):
                encode_header(effect.message)
    fleet.push("honest", 1)
    assert fleet.delivery("honest").accepted == 1
