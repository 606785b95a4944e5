"""Appends to a journal's segments and deletes those that have ended. Not thread-safe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.broker.journal.segments import (
    Segment,
    encode_batch,
    encode_ends,
    open_batches,
    read_segment,
    segment_name,
)
from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.limits import MIB
from headrace.protocol.messages.headers import Frame

_LOG = logging.getLogger("headrace.broker")


class Files(Protocol):
    """`JournalFiles`, or a test double; all methods raise OSError."""

    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...
    def append(self, name: str, pieces: Sequence[Frame]) -> None: ...
    def sync(self, name: str) -> None: ...
    def truncate(self, name: str, size_bytes: int) -> None: ...
    def remove(self, name: str) -> None: ...
    def set_aside(self, name: str) -> None: ...


@dataclass
class _Segment:
    name: str
    size_bytes: int = 0
    is_torn: bool = False
    open: set[int] = field(default_factory=set)


class JournalFullError(OSError):
    """Raised when batches would exceed the journal's size limit."""


class JournalWriter:
    """The journal in a folder. Call `recover` once, then `write` any number of times."""

    def __init__(
        self, files: Files, max_bytes: int = 16 * 1024 * MIB, segment_bytes: int = 64 * MIB
    ) -> None:
        self._files = files
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._segment_of: dict[int, _Segment] = {}
        self._unwritten_ends: list[int] = []

    @property
    def size_bytes(self) -> int:
        """The size of all segments."""
        return sum(segment.size_bytes for segment in self._segments)

    def recover(self) -> tuple[list[QueuedBatch], int]:
        """Returns the batches that have not ended, and the highest arrival ever recorded.

        The last write may have been cut off: its remains are truncated. Damage anywhere else is
        logged, and the file is set aside.
        """
        segments = [read_segment(name, self._files.read(name)) for name in self._files.names()]
        batches = open_batches(segments)
        is_open = {batch.arrival for batch in batches}
        for segment in segments:
            self._adopt(segment, is_open, is_last=segment is segments[-1])
        self._delete_ended()
        return batches, max((segment.newest_arrival for segment in segments), default=0)

    def write(self, batches: Sequence[QueuedBatch], ended: Sequence[int]) -> None:
        """Returns once the batches and the ends are on disk.

        After an error, call it again with the same arguments.

        Raises:
            JournalFullError: there is no room until batches end; the ends have been recorded.
            OSError: the write failed.
        """
        self._note_ends(ended)
        self._delete_ended()
        pieces = [piece for batch in batches for piece in encode_batch(batch)]
        if self._unwritten_ends:
            pieces += encode_ends(self._unwritten_ends)
        needed = sum(map(len, pieces))
        if batches and self.size_bytes + needed > self._max_bytes:
            raise JournalFullError(f"it has reached its limit of {self._max_bytes} bytes")
        if not pieces:
            return
        segment = self._segment_for(batches)
        self._append(segment, pieces, needed)
        self._unwritten_ends.clear()
        for batch in batches:
            segment.open.add(batch.arrival)
            self._segment_of[batch.arrival] = segment

    def _append(self, segment: _Segment, pieces: Sequence[Frame], size_bytes: int) -> None:
        """Appends whole records, after truncating the remains of a failed write."""
        if segment.is_torn:
            self._files.truncate(segment.name, segment.size_bytes)
        segment.is_torn = True
        self._files.append(segment.name, pieces)
        self._files.sync(segment.name)
        segment.is_torn = False
        segment.size_bytes += size_bytes

    def _segment_for(self, batches: Sequence[QueuedBatch]) -> _Segment:
        newest = self._segments[-1] if self._segments else None
        if newest is None or (batches and newest.size_bytes >= self._segment_bytes):
            newest = _Segment(segment_name(batches[0].arrival if batches else 0))
            self._segments.append(newest)
        return newest

    def _note_ends(self, ended: Sequence[int]) -> None:
        """Records the ends of those batches that are in the files."""
        for arrival in ended:
            segment = self._segment_of.pop(arrival, None)
            if segment is not None:
                segment.open.discard(arrival)
                self._unwritten_ends.append(arrival)

    def _delete_ended(self) -> None:
        while len(self._segments) > 1 and not self._segments[0].open:
            self._files.remove(self._segments[0].name)
            del self._segments[0]

    def _adopt(self, segment: Segment, is_open: set[int], *, is_last: bool) -> None:
        adopted = _Segment(segment.name, segment.whole_bytes)
        adopted.open = {batch.arrival for batch in segment.batches} & is_open
        if segment.damaged_bytes and not (is_last and segment.is_cut_off):
            _LOG.error(
                "the journal segment %s is damaged: %d batches could be read, %d bytes could not; "
                "the original is kept as %s.damaged",
                segment.name,
                len(segment.batches),
                segment.damaged_bytes,
                segment.name,
            )
            self._rewrite(segment)
        elif segment.damaged_bytes:
            _LOG.warning(
                "the journal's last write was cut off: truncating %d bytes of %s",
                segment.damaged_bytes,
                segment.name,
            )
            self._files.truncate(segment.name, segment.whole_bytes)
        self._segments.append(adopted)
        self._segment_of |= dict.fromkeys(adopted.open, adopted)

    def _rewrite(self, segment: Segment) -> None:
        """Sets a damaged file aside, and rewrites its intact part under the old name."""
        whole = self._files.read(segment.name)[: segment.whole_bytes]
        self._files.set_aside(segment.name)
        self._files.append(segment.name, [whole])
        self._files.sync(segment.name)
