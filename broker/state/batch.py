"""An accepted batch and its key."""

from __future__ import annotations

import msgspec

from headrace.protocol.messages import Trajectories
from headrace.protocol.messages.headers import Frame

BatchKey = tuple[tuple[str, int], int]
"""((actor, incarnation), seq)."""


class QueuedBatch(msgspec.Struct, frozen=True):
    """An accepted batch.

    Attributes:
        arrival: its place in the order of arrival, kept when it returns to the queue.
        attempt: 1, plus one for each session that ended without confirming it.
        is_recovered: whether it comes from a journal; an earlier broker may have leased it.
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
        """The batch's key."""
        return self.origin, self.header.seq
