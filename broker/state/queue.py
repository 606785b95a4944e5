"""The queue of batches for the learner: first in, first out, bounded in env steps and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame


class TrajectoryQueue:
    """Accepted batches in order of arrival."""

    def __init__(self, max_env_steps: int, max_held_bytes: int) -> None:
        """Creates an empty queue.

        Args:
            max_held_bytes: of the queued batches, and of those that are leased.
        """
        self._max_env_steps = max_env_steps
        self._max_held_bytes = max_held_bytes
        self._batches: dict[int, QueuedBatch] = {}
        self._arrivals = 0
        self.env_steps = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[QueuedBatch]:
        return iter(self._batches.values())

    def has_room_for(self, env_steps: int, size_bytes: int, leased_bytes: int) -> bool:
        """Returns whether a batch may be accepted; an empty queue takes one of any size."""
        if not self._batches:
            return True
        return (
            self.env_steps + env_steps <= self._max_env_steps
            and self.bytes + leased_bytes + size_bytes <= self._max_held_bytes
        )

    def number(self, header: Trajectories, payload: Frame, attempt: int = 1) -> QueuedBatch:
        """Returns an accepted batch with the next arrival number, without adding it."""
        self._arrivals += 1
        return QueuedBatch(self._arrivals, header, payload, attempt)

    def recover(self, batches: Sequence[QueuedBatch], newest_arrival: int) -> None:
        """Starts with the batches of an earlier broker; numbering continues after its newest."""
        self._arrivals = newest_arrival
        for batch in batches:
            self._put(batch)

    def append(self, batch: QueuedBatch) -> None:
        """Adds a batch at the end."""
        self._put(batch)

    def put_back(self, batches: list[QueuedBatch]) -> None:
        """Returns the batches of an ended session to their places."""
        for batch in batches:
            self._put(batch)
        self._batches = dict(sorted(self._batches.items()))

    def remove(self, batch: QueuedBatch) -> None:
        """Removes a batch."""
        del self._batches[batch.arrival]
        self.env_steps -= batch.header.env_steps
        self.bytes -= len(batch.payload)

    def remove_if(self, is_meant: Callable[[QueuedBatch], bool]) -> list[QueuedBatch]:
        """Removes and returns all batches for which `is_meant` holds."""
        meant = [batch for batch in self if is_meant(batch)]
        for batch in meant:
            self.remove(batch)
        return meant

    def _put(self, batch: QueuedBatch) -> None:
        self._batches[batch.arrival] = batch
        self.env_steps += batch.header.env_steps
        self.bytes += len(batch.payload)
