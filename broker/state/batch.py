"""An accepted batch, and what names it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame

BatchKey = tuple[tuple[str, int], int]
"""Actor and incarnation, and the sequence number."""


@dataclass(frozen=True)
class QueuedBatch:
    """An accepted batch.

    Attributes:
        arrival: its place in the order of arrival, kept when it returns to the queue.
        attempt: 1, and one more for each session that ended without confirming it.
        is_recovered: it comes from a journal, and an earlier broker may have leased it.
    """

    arrival: int
    header: Trajectories
    payload: Frame
    attempt: int = 1
    is_recovered: bool = False

    @property
    def origin(self) -> tuple[str, int]:
        """Actor and incarnation."""
        return self.header.actor, self.header.incarnation

    @property
    def key(self) -> BatchKey:
        """What names the batch."""
        return self.origin, self.header.seq
