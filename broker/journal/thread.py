"""The thread that writes the journal, so that the poll loop never waits for a disk."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque

from headrace.broker.journal.writer import JournalWriter
from headrace.broker.state.batch import QueuedBatch

_LOG = logging.getLogger("headrace.broker")
_RETRY_S = 0.5


class JournalThread:
    """Takes batches and ends from the poll loop, and commits in one write all that have queued up.

    Attributes:
        readable: a file descriptor that is readable when `committed` or `accepts` has changed.
        committed: all batches up to this arrival are on disk.
        accepts: whether writes succeed. A failed write is retried every half second.
    """

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._changed = threading.Condition()
        self._batches: deque[QueuedBatch] = deque()
        self._ended: list[int] = []
        self._is_closing = False
        self.committed = 0
        self.accepts = True
        self.readable, self._signal = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="headrace-journal", daemon=True)
        self._thread.start()

    def store(self, batch: QueuedBatch) -> None:
        """Queues a batch for writing."""
        with self._changed:
            self._batches.append(batch)
            self._changed.notify()

    def forget(self, arrival: int) -> None:
        """Queues the end of a batch for writing."""
        with self._changed:
            self._ended.append(arrival)
            self._changed.notify()

    def clear(self) -> bool:
        """Returns whether anything changed, and resets `readable` until the next change."""
        try:
            return bool(os.read(self.readable, 1 << 20))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Writes what is queued, if the disk takes it, and ends the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()
        os.close(self.readable)
        os.close(self._signal)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._batches or self._ended or self._is_closing)
                if self._is_closing and not self._batches and not self._ended:
                    return
                batches, ended = list(self._batches), self._ended
                self._ended = []
            if self._write(batches, ended):
                continue
            with self._changed:
                self._ended = ended + self._ended
                if self._changed.wait_for(lambda: self._is_closing, _RETRY_S):
                    return

    def _write(self, batches: list[QueuedBatch], ended: list[int]) -> bool:
        """Writes the ends, and batches that have not ended; returns whether that succeeded."""
        gone = set(ended)
        wanted = [batch for batch in batches if batch.arrival not in gone]
        try:
            self._writer.write(wanted, ended)
        except OSError as error:
            if self.accepts:
                _LOG.error("cannot write the journal, so no batch is accepted: %s", error)
            self._report(accepts=False)
            return False
        if not self.accepts:
            _LOG.warning("the journal accepts batches again")
        with self._changed:
            for _ in batches:
                self._batches.popleft()
        if batches:
            self.committed = batches[-1].arrival
        self._report(accepts=True)
        return True

    def _report(self, *, accepts: bool) -> None:
        self.accepts = accepts
        with contextlib.suppress(BlockingIOError):  # it is readable already
            os.write(self._signal, b"\0")
