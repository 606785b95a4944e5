"""Buffers leased segments until RLlib takes them, cut to the amount it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.episodes.gc_pause import paused_gc
from headrace.learner.episodes.segments import EpisodeSegment, cut_segment, segments_of


class SegmentBuffer:
    """First in, first out; a segment that exceeds the requested amount is cut in two.

    `lookbacks` is, by module, the number of context steps in the second part of a cut chunk.
    """

    def __init__(self, lookbacks: Mapping[str, int]) -> None:
        self._lookbacks = lookbacks
        self._segments: deque[tuple[EpisodeSegment, LeasedBatch]] = deque()
        self._finished: LeasedBatch | None = None
        self.env_steps = 0

    def add(self, batch: LeasedBatch) -> None:
        """Adds a batch's segments.

        Raises:
            RemoteProtocolError: the payload is not a batch.
        """
        with paused_gc():
            for segment in segments_of(batch.unpack(), batch.lease):
                self._segments.append((segment, batch))
                self.env_steps += segment.env_steps

    @property
    def finished(self) -> LeasedBatch | None:
        """The newest batch that was handed out completely, as were all batches before it."""
        return self._finished

    def take(self, env_steps: int) -> list[EpisodeSegment]:
        """Returns segments of exactly `env_steps` in total, or everything if there is less."""
        taken: list[EpisodeSegment] = []
        while env_steps > 0 and self._segments:
            segment, batch = self._segments.popleft()
            length = segment.env_steps
            if length > env_steps:
                segment, rest = cut_segment(segment, env_steps, self._lookbacks)
                length = env_steps
                self._segments.appendleft((rest, batch))
            elif not self._segments or self._segments[0][1] is not batch:
                self._finished = batch
            taken.append(segment)
            env_steps -= length
            self.env_steps -= length
        return taken
