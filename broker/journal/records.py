"""Checksummed records in a file: a reader finds every record that was written completely.

A record is a 16-byte prefix, a header frame and a payload frame. The prefix is "hrec", the lengths
of both frames, and a CRC-32 of lengths and frames, as little-endian 32-bit integers. Reading stops
at the first record that is incomplete (a kill or a full disk cut the write off) or corrupt.
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
    """An intact record; `end` is the offset of the next one."""

    header: Frame
    payload: Frame
    end: int


def encode_record(header: Frame, payload: Frame) -> list[Frame]:
    """Returns the buffers of a record, to be written in one call."""
    lengths = _LENGTHS.pack(len(header), len(payload))
    crc = zlib.crc32(payload, zlib.crc32(header, zlib.crc32(lengths)))
    return [_PREFIX.pack(MAGIC, len(header), len(payload), crc), header, payload]


def read_records(data: Frame) -> Iterator[Record]:
    """Yields the records from the start up to the first one that is not intact."""
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
