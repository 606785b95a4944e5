from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.messages import (
    Alive,
    Beacon,
    Goodbye,
    Hello,
    LearnerHello,
    Mark,
    Trajectories,
    Weights,
    Welcome,
)
from headrace.protocol.messages.headers import (
    control_decoder,
    encode_header,
    from_learner_decoder,
    ingest_decoder,
    peek_sender,
    peek_session,
    to_learner_decoder,
    weights_decoder,
)

VERSION = PolicyVersion(1, 2)


def _header(**fields: Any) -> bytes:
    return msgspec.msgpack.encode({"wire": 1, **fields})


def _reject(header: bytes, *payloads: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        ingest_decoder().decode([header, *payloads])
    return caught.value


def test_each_endpoint_reads_back_its_own_messages() -> None:
    hello = Hello(actor="a", incarnation=1)
    beacon = Beacon(broker=5, run="r", version=VERSION)
    weights = Weights(run="r", version=VERSION, policy_digest="0" * 32)
    marks = (Mark("a", 1, 5),)
    learner = LearnerHello(session=1, learner_run="x", worker_index=0, run="r", marks=marks)
    welcome = Welcome(broker=5, session=1, epoch=1)
    assert ingest_decoder().decode([encode_header(hello)])[0] == hello
    assert control_decoder().decode([encode_header(beacon)])[0] == beacon
    assert weights_decoder().decode([encode_header(weights), b"w"]) == (weights, [b"w"])
    assert from_learner_decoder().decode([encode_header(learner)])[0] == learner
    assert to_learner_decoder().decode([encode_header(welcome)])[0] == welcome


def test_unknown_keys_are_ignored_so_that_minor_versions_may_add_some() -> None:
    message, _ = ingest_decoder().decode(
        [_header(kind="goodbye", actor="a", incarnation=1, last_seq=4, novelty=[1, {}])]
    )
    assert message == Goodbye(actor="a", incarnation=1, last_seq=4)


def test_a_kind_of_another_endpoint_is_unknown() -> None:
    assert _reject(encode_header(Beacon(broker=1))).code is RejectCode.UNKNOWN_KIND


def test_another_wire_version_is_distinguished_from_invalid_bytes() -> None:
    foreign = _header(kind="telepathy", wire=7)
    assert _reject(foreign).code is RejectCode.UNSUPPORTED_VERSION
    later = encode_header(Alive(actor="a", incarnation=1, wire=2))
    assert _reject(later).code is RejectCode.UNSUPPORTED_VERSION


def test_a_hello_of_a_later_version_that_also_supports_ours_is_read() -> None:
    hello = Hello(actor="a", incarnation=1, wire=3, wire_min=0, wire_max=3)
    assert ingest_decoder().decode([encode_header(hello)])[0] == hello


def test_a_hello_of_a_later_version_that_does_not_support_ours_is_refused() -> None:
    hello = Hello(actor="a", incarnation=1, wire=3, wire_min=2, wire_max=3)
    assert _reject(encode_header(hello)).code is RejectCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "hello", "actor": "a b", "incarnation": 1},
        {"kind": "hello", "actor": "", "incarnation": 1},
        {"kind": "hello", "actor": "a", "incarnation": -1},
        {"kind": "hello", "actor": "a", "incarnation": 2**53},
        {"kind": "hello", "actor": "a", "incarnation": 1, "version": [1]},
        {"kind": "goodbye", "actor": 7, "incarnation": 1},
    ],
)
def test_fields_out_of_range_are_malformed(fields: dict[str, Any]) -> None:
    assert _reject(_header(**fields)).code is RejectCode.MALFORMED


@pytest.mark.parametrize("header", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03", b"\x81" * 4000])
def test_bytes_that_are_not_a_header_are_malformed(header: bytes) -> None:
    assert _reject(header).code is RejectCode.MALFORMED


def test_a_message_without_frames_is_malformed() -> None:
    with pytest.raises(RemoteProtocolError):
        ingest_decoder().decode([])


def test_the_number_of_payload_frames_is_fixed_by_the_kind() -> None:
    batch = Trajectories(actor="a", incarnation=1, seq=1, run="r", version=VERSION, env_steps=1)
    assert _reject(encode_header(batch)).code is RejectCode.MALFORMED
    assert _reject(encode_header(Hello(actor="a", incarnation=1)), b"").code is RejectCode.MALFORMED


def test_a_header_above_the_limit_is_refused() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        ingest_decoder(DecodeLimits(max_header_bytes=200)).decode([bytes(201)])
    assert caught.value.code is RejectCode.OVERSIZED


def test_the_sender_of_an_undecodable_message_can_still_be_answered() -> None:
    assert peek_sender(_header(kind="x", actor="a", incarnation=4)) == ("a", 4)
    assert peek_sender(b"rubbish") is None
    assert peek_session(_header(kind="x", session=4)) == 4
    assert peek_session(b"rubbish") is None
