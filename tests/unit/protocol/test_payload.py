from __future__ import annotations

from typing import Any

import msgpack
import msgpack_numpy
import numpy as np
import pytest

from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.payload import decode_payload, encode_payload


def packb(value: Any, **options: Any) -> bytes:
    return bytes(msgpack.packb(value, **options) or b"")


def test_arrays_text_and_numbers_survive_a_round_trip() -> None:
    tree: dict[str, Any] = {
        "floats": np.arange(6, dtype="<f4").reshape(2, 3),
        "empty": np.zeros((0, 4), np.int64),
        "flags": np.array([True, False]),
        "nested": {"words": ["a", "b"], "count": 3, "share": 0.5, "nothing": None},
    }
    decoded = decode_payload(encode_payload(tree))
    for name in ("floats", "empty", "flags"):
        np.testing.assert_array_equal(decoded[name], tree[name])
        assert decoded[name].dtype == tree[name].dtype
    assert decoded["nested"] == tree["nested"]


def test_a_numpy_scalar_arrives_as_an_array_without_dimensions() -> None:
    assert decode_payload(encode_payload({"x": np.float32(2.5)}))["x"].shape == ()


def test_decoded_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode_payload(encode_payload({"x": np.zeros(2)}))["x"][0] = 1


def test_a_payload_from_msgpack_numpy_is_decoded() -> None:
    frame = packb({"x": np.arange(3)}, default=msgpack_numpy.encode)
    np.testing.assert_array_equal(decode_payload(frame)["x"], [0, 1, 2])


def test_msgpack_numpy_decodes_our_payload() -> None:
    frame = encode_payload({"x": np.arange(3)})
    decoded = msgpack.unpackb(frame, object_hook=msgpack_numpy.decode)
    np.testing.assert_array_equal(decoded["x"], [0, 1, 2])


@pytest.mark.parametrize("value", [object(), np.array([object()]), {1, 2}, 1 << 70, "\ud800"])
def test_a_value_that_cannot_be_encoded_is_a_local_error(value: object) -> None:
    with pytest.raises(LocalProtocolError):
        encode_payload({"x": value})


def _array(**changes: Any) -> bytes:
    fields: dict[bytes, Any] = {
        b"nd": True,
        b"type": "<f4",
        b"kind": b"",
        b"shape": [2],
        b"data": bytes(8),
    }
    fields.update({key.encode(): value for key, value in changes.items()})
    return bytes(packb({"x": fields}))


@pytest.mark.parametrize(
    "changes",
    [
        {"nd": 1},
        {"kind": b"O"},
        {"kind": b"V"},
        {"type": "|O"},
        {"type": [["a", "|O"]]},
        {"type": "<f16"},
        {"type": "<U4"},
        {"data": "text"},
        {"data": bytes(7)},
        {"shape": [3]},
        {"shape": [-2]},
        {"shape": [True, 2]},
        {"shape": [1] * 9},
        {"shape": [2**60, 2**60]},
        {"shape": "2"},
        {"surprise": 1},
    ],
)
def test_a_hostile_array_is_a_remote_error(changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_payload(_array(**changes))


def test_a_pickle_in_an_object_array_is_not_loaded() -> None:
    frame = packb({"x": np.array([{}], dtype=object)}, default=msgpack_numpy.encode)
    with pytest.raises(RemoteProtocolError):
        decode_payload(frame)


@pytest.mark.parametrize(
    "value",
    [[], 3, {"x": msgpack.ExtType(5, b"")}, {1: 2}, {(): 1}, {"x": [[[[[[[[1]]]]]]]]}],
)
def test_a_payload_that_is_not_a_plain_map_is_refused(value: object) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_payload(bytes(packb(value)))


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x81", b"\x81\xa1\xff\x01", b"\x80\x80"])
def test_bytes_that_are_not_msgpack_are_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_payload(frame)


def test_a_payload_above_the_limit_is_refused_before_decoding() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_payload(bytes(11), DecodeLimits(max_payload_bytes=10))
    assert caught.value.code is RejectCode.OVERSIZED


def test_too_many_parts_are_refused_even_if_each_list_is_short() -> None:
    frame = bytes(packb({"x": [[0] * 100 for _ in range(100)]}))
    with pytest.raises(RemoteProtocolError) as caught:
        decode_payload(frame)
    assert caught.value.code is RejectCode.OVERSIZED


def test_many_siblings_do_not_count_as_deep_nesting() -> None:
    tree = {"words": [["a", "b"]] * 20, "maps": [{"x": 1}] * 20}
    assert decode_payload(encode_payload(tree)) == tree
