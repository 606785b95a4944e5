from __future__ import annotations

import lz4.frame
import pytest
from msgspec import UNSET, UnsetType

from headrace.protocol.compression import Compression, compress, decompress, unpacked_bytes
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.limits import DecodeLimits

PICTURES = bytes(range(16)) * 4096
FRAME: bytes = lz4.frame.compress(PICTURES)


def test_a_payload_survives_a_round_trip() -> None:
    compression, compressed = compress("lz4", PICTURES)
    assert len(compressed) < len(PICTURES) / 50
    assert decompress(compression, memoryview(compressed)) == PICTURES


@pytest.mark.parametrize("compression", ["lz4", UNSET])
def test_a_payload_stays_uncompressed_if_nothing_is_gained_or_offered(
    compression: Compression | UnsetType,
) -> None:
    payload = bytes(range(100))
    assert compress(compression, payload) == (UNSET, payload)
    assert decompress(UNSET, payload) == payload


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "not an LZ4 frame"),
        (PICTURES, "not an LZ4 frame"),
        (FRAME[:7], "not an LZ4 frame"),
        (lz4.frame.compress(b""), "empty"),
        (lz4.frame.compress(PICTURES, store_size=False), "does not declare"),
        (FRAME[:-9], "damaged"),
        (FRAME + b"x", "bytes after"),
        (FRAME * 2, "bytes after"),
    ],
)
def test_anything_but_one_frame_of_known_size_is_malformed(frame: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        decompress("lz4", frame)
    assert caught.value.code is RejectCode.MALFORMED


def test_a_frame_counts_with_its_decompressed_size() -> None:
    assert unpacked_bytes(memoryview(FRAME)) == len(PICTURES)
    assert unpacked_bytes(PICTURES) == len(PICTURES)
    assert unpacked_bytes(FRAME[:6]) == 6
    assert unpacked_bytes(lz4.frame.compress(b"", store_size=False)) < 20


def test_the_size_is_checked_before_decompression() -> None:
    with pytest.raises(RemoteProtocolError, match="the limit is 100") as caught:
        decompress("lz4", FRAME, DecodeLimits(max_payload_bytes=100))
    assert caught.value.code is RejectCode.OVERSIZED
