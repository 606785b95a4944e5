"""Reading a file whose last write was cut off, or whose bits have flipped."""

from __future__ import annotations

import pytest

from headrace.broker.journal.records import encode_record, read_records

FRAMES = [(b"header", b"payload"), (b"", b""), (b"h" * 300, b"p" * 1000)]


@pytest.fixture
def data() -> bytes:
    return b"".join(bytes(piece) for frames in FRAMES for piece in encode_record(*frames))


def read(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(record.header), bytes(record.payload)) for record in read_records(data)]


def ends(data: bytes) -> list[int]:
    return [record.end for record in read_records(data)]


def test_records_are_read_back_in_order(data: bytes) -> None:
    assert read(data) == FRAMES
    assert ends(data)[-1] == len(data)


def test_reading_stops_at_a_truncated_record(data: bytes) -> None:
    whole = ends(data)
    for cut in range(len(data)):
        assert len(read(data[:cut])) == sum(end <= cut for end in whole)


def test_a_flipped_bit_anywhere_is_detected(data: bytes) -> None:
    whole = ends(data)
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        assert len(read(bytes(flipped))) == sum(end <= position // 8 for end in whole)
