"""Chunks that were leased and not yet handed to RLlib, cut to what it asks for."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from dataclasses import dataclass

from headrace.learner.collection import paused_collection
from headrace.learner.session import LeasedBatch
from headrace.protocol.arrays import Array
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import Chunk, has_last_row, unpack_batch


@dataclass(frozen=True)
class StockedChunk:
    """A chunk, and the lease that it came with."""

    chunk: Chunk
    lease: Lease


class ChunkStock:
    """First in, first out; a chunk that is too long for what is asked is cut in two.

    `lookback` is how much context the second part of a cut chunk brings.
    """

    def __init__(self, lookback: int = 0) -> None:
        self._lookback = lookback
        self._chunks: deque[tuple[Chunk, LeasedBatch]] = deque()
        self._finished: LeasedBatch | None = None
        self.env_steps = 0

    def add(self, batch: LeasedBatch) -> None:
        """Takes a batch's chunks in.

        Raises:
            RemoteProtocolError: its payload is not a batch.
        """
        with paused_collection():
            for chunk in unpack_batch(batch.payload):
                self._chunks.append((chunk, batch))
                self.env_steps += chunk.length

    @property
    def finished(self) -> LeasedBatch | None:
        """The newest batch of which nothing is left: up to there, all was handed out."""
        return self._finished

    def take(self, env_steps: int) -> list[StockedChunk]:
        """Returns chunks of exactly so many env steps together; less if there is less."""
        taken: list[StockedChunk] = []
        while env_steps > 0 and self._chunks:
            chunk, batch = self._chunks.popleft()
            if chunk.length > env_steps:
                chunk, rest = cut_chunk(chunk, env_steps, self._lookback)
                self._chunks.appendleft((rest, batch))
            elif not self._chunks or self._chunks[0][1] is not batch:
                self._finished = batch
            taken.append(StockedChunk(chunk, batch.lease))
            env_steps -= chunk.length
            self.env_steps -= chunk.length
        return taken


def cut_chunk(chunk: Chunk, length: int, lookback: int) -> tuple[Chunk, Chunk]:
    """Returns the first `length` steps of a chunk, and the rest with up to `lookback` before it.

    Arrays are views; the observation between the two is in both.
    """
    middle = chunk.lookback + length
    begin = middle - min(lookback, middle)

    def rows(start: int, stop: int) -> dict[str, Array]:
        return {
            name: values[start : stop + 1 if has_last_row(name) else stop]
            for name, values in chunk.columns.items()
        }

    first = dataclasses.replace(
        chunk,
        length=length,
        terminated=False,
        truncated=False,
        episode_return=math.nan,
        episode_length=0,
        episode_s=math.nan,
        columns=rows(0, middle),
    )
    rest = dataclasses.replace(
        chunk,
        env_t_started=chunk.env_t_started + length,
        t_started=chunk.t_started + length,
        length=chunk.length - length,
        lookback=middle - begin,
        columns=rows(begin, chunk.lookback + chunk.length),
    )
    return first, rest
