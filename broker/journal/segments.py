"""The content of a journal's files: batches, and which of them have ended.

A journal is a folder of segments, each named by the number of the first batch that may be in it. A
segment is a sequence of records (records.py): a batch with its arrival number, or a list of batches
that have ended. A segment is deleted once all of its batches and those of all earlier segments have
ended; the end of a batch is never recorded in an earlier segment than the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from headrace.broker.journal.records import MAGIC, encode_record, read_records
from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame

SUFFIX = ".journal"


class BatchEntry(msgspec.Struct, frozen=True, tag="batch"):
    """A batch; its payload is the record's payload."""

    arrival: int
    batch: Trajectories


class EndEntry(msgspec.Struct, frozen=True, tag="end"):
    """These batches have ended; the record has no payload."""

    arrivals: list[int]


_ENTRIES = msgspec.msgpack.Decoder(BatchEntry | EndEntry)


@dataclass(frozen=True)
class Segment:
    """The content of one file.

    Attributes:
        batches: in the order in which they were written.
        ended: arrival numbers of batches in this segment or in earlier ones.
        whole_bytes: length of the intact part.
        damaged_bytes: length of the rest.
        is_cut_off: whether the rest contains nothing that looks like another record. In the last
            segment that is an unfinished write, which was never reported as committed.
    """

    name: str
    batches: tuple[QueuedBatch, ...]
    ended: frozenset[int]
    whole_bytes: int
    damaged_bytes: int
    is_cut_off: bool

    @property
    def newest_arrival(self) -> int:
        """The highest arrival number in the segment; 0 for none."""
        return max(max(self.ended, default=0), *(batch.arrival for batch in self.batches), 0)


def segment_name(first_arrival: int) -> str:
    """Returns the name of the segment that begins with a batch; names sort numerically."""
    return f"{first_arrival:016d}{SUFFIX}"


def encode_batch(batch: QueuedBatch) -> list[Frame]:
    """Returns the buffers of a batch's record."""
    entry = BatchEntry(batch.arrival, batch.header)
    return encode_record(msgspec.msgpack.encode(entry), batch.payload)


def encode_ends(arrivals: Sequence[int]) -> list[Frame]:
    """Returns the buffers of a record of batches that have ended."""
    return encode_record(msgspec.msgpack.encode(EndEntry(list(arrivals))), b"")


def read_segment(name: str, data: Frame) -> Segment:
    """Returns the intact part of a segment; never raises, whatever the content."""
    batches: list[QueuedBatch] = []
    ended: set[int] = set()
    end = 0
    for record in read_records(data):
        try:
            entry = _ENTRIES.decode(record.header)
        except msgspec.MsgspecError:
            break  # intact, but not ours
        if isinstance(entry, BatchEntry):
            arrival, header = entry.arrival, entry.batch
            batches.append(QueuedBatch(arrival, header, record.payload, is_recovered=True))
        else:
            ended.update(entry.arrivals)
        end = record.end
    damaged = bytes(memoryview(data)[end:])
    is_cut_off = bool(damaged) and damaged.find(MAGIC, 1) < 0
    return Segment(name, tuple(batches), frozenset(ended), end, len(damaged), is_cut_off)


def open_batches(segments: Iterable[Segment]) -> list[QueuedBatch]:
    """Returns the batches of a journal that have not ended, in order of arrival."""
    segments = list(segments)
    ended = frozenset[int]().union(*(segment.ended for segment in segments))
    batches = (batch for segment in segments for batch in segment.batches)
    left = {batch.arrival: batch for batch in batches if batch.arrival not in ended}
    # Copied, because the file may be deleted while they wait.
    return [
        msgspec.structs.replace(batch, payload=bytes(batch.payload))
        for _, batch in sorted(left.items())
    ]
