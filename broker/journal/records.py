"""Records in files that outlive their writer: which bytes of a file are whole.

A record is a header frame and a payload frame of the wire, after 16 bytes: "hrec", the lengths of
both, and a CRC-32 of lengths and frames, all integers of 32 bits, little-endian. A write that was
cut off by a kill or a full disk, or a bit that has flipped, ends what can be read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.protocol.messages.headers import Frame

MAGIC = b"hrec"
_PREFIX = struct.Struct("<4sIII")
_LENGTHS = struct.Struct("<II")


@dataclass(frozen=True)
class Record:
    """A record that was found whole; `end` is where the next one begins."""

    header: Frame
    payload: Frame
    end: int


def encode_record(header: Frame, payload: Frame) -> list[Frame]:
    """Returns the pieces of a record, to be written in one call."""
    lengths = _LENGTHS.pack(len(header), len(payload))
    crc = zlib.crc32(payload, zlib.crc32(header, zlib.crc32(lengths)))
    return [_PREFIX.pack(MAGIC, len(header), len(payload), crc), header, payload]


def read_records(data: Frame) -> Iterator[Record]:
    """Yields the whole records from the start up to the first one that is not."""
    view = memoryview(data)
    start = 0
    while (record := _read_record(view, start)) is not None:
        yield record
        start = record.end


def _read_record(view: memoryview, start: int) -> Record | None:
    if start + _PREFIX.size > len(view):
        return None
    magic, header_bytes, payload_bytes, crc = _PREFIX.unpack_from(view, start)
    header_at = start + _PREFIX.size
    payload_at = header_at + header_bytes
    end = payload_at + payload_bytes
    if magic != MAGIC or end > len(view):
        return None
    header, payload = view[header_at:payload_at], view[payload_at:end]
    lengths = _LENGTHS.pack(header_bytes, payload_bytes)
    if zlib.crc32(payload, zlib.crc32(header, zlib.crc32(lengths))) != crc:
        return None
    return Record(header, payload, end)
