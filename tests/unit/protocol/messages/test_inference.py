"""Bounded decoding of messages from thin simulators."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.messages.inference import (
    Act,
    AgentTurn,
    Denial,
    RequestName,
    answer_decoder,
    decode_turns,
    peek_request,
    request_decoder,
)
from headrace.protocol.payload import encode_payload


def test_turns_are_read_by_agent() -> None:
    seen = np.array([1.0], np.float32)
    turns = decode_turns(
        encode_payload({"a": {"observation": seen, "reward": 2}, "b": {"truncated": True}})
    )
    assert turns["a"].observation.tolist() == [1.0]
    assert (turns["a"].reward, turns["a"].has_left) == (2.0, False)
    assert turns["b"] == AgentTurn(truncated=True)
    assert turns["b"].has_left


@pytest.mark.parametrize(
    "fields", [5, [], {"reward": "2"}, {"terminated": 1}, {"reward": float("nan")}, {"info": 3}]
)
def test_anything_but_a_turn_is_malformed(fields: Any) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_turns(encode_payload({"a": fields}))
    assert caught.value.code is RejectCode.MALFORMED


def test_unknown_keys_of_a_turn_are_ignored() -> None:
    assert decode_turns(encode_payload({"a": {"mood": "good"}})) == {"a": AgentTurn()}


def test_requests_and_answers_are_distinguished() -> None:
    act = encode_header(Act(episode="e", turn=0))
    assert request_decoder().decode([act, b""])[0] == Act(episode="e", turn=0)
    with pytest.raises(RemoteProtocolError, match="unknown here"):
        answer_decoder().decode([act, b""])
    denial = Denial(code=RejectCode.UNKNOWN_EPISODE, reason="?", episode="e", turn=1)
    assert answer_decoder().decode([encode_header(denial)])[0] == denial


def test_an_unreadable_request_may_still_be_identified() -> None:
    header = msgspec.msgpack.encode({"kind": "dance", "episode": "e", "turn": 4})
    assert peek_request(header) == RequestName("e", 4)
    assert peek_request(b"\xc1") is None
