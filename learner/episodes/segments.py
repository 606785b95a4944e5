"""Episode segments: chunks recorded together that RLlib receives as one episode."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import EndedEpisode
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import ENV_T, Chunk, TrajectoryBatch, has_last_row


@dataclass(frozen=True)
class EpisodeSegment:
    """Chunks of one episode, at most one per agent, and the lease that they came with.

    Attributes:
        ended: totals of the whole episode, if it had several agents and ended here.
    """

    chunks: tuple[Chunk, ...]
    lease: Lease
    ended: EndedEpisode | None = None

    @property
    def episode_id(self) -> str:
        """The id of the episode."""
        return self.chunks[0].episode_id

    @property
    def env_steps(self) -> int:
        """Env steps at which a trained step began; simultaneous steps of agents count once."""
        if len(self.chunks) == 1:
            return self.chunks[0].length
        return len(_begin_times(self.chunks))


def segments_of(batch: TrajectoryBatch, lease: Lease) -> list[EpisodeSegment]:
    """Returns the segments of a batch, grouping the chunks of several agents."""
    groups: list[dict[str, Chunk]] = []
    newest: dict[str, dict[str, Chunk]] = {}
    for chunk in batch:
        group = newest.get(chunk.episode_id)
        if group is None or chunk.agent_id in group:
            group = newest[chunk.episode_id] = {}
            groups.append(group)
        group[chunk.agent_id] = chunk
    ended = batch.ended
    ends = {id(newest[episode_id]): end for episode_id, end in ended.items()}
    return [EpisodeSegment(tuple(group.values()), lease, ends.get(id(group))) for group in groups]


def cut_segment(
    segment: EpisodeSegment, env_steps: int, lookbacks: Mapping[str, int]
) -> tuple[EpisodeSegment, EpisodeSegment]:
    """Returns the first `env_steps` of a segment that has more, and the rest.

    Args:
        lookbacks: by module, the number of context steps in the rest; 0 for unnamed modules.
    """
    if len(segment.chunks) == 1:
        chunk = segment.chunks[0]
        first, rest = cut_chunk(chunk, env_steps, lookbacks.get(chunk.module_id, 0))
        return _part(segment, [first]), dataclasses.replace(segment, chunks=(rest,))
    firsts: list[Chunk] = []
    rests: list[Chunk] = []
    middle = _begin_times(segment.chunks)[env_steps]
    for chunk in segment.chunks:
        length = int(np.searchsorted(_begins(chunk), middle))
        if length == 0:
            rests.append(chunk)
        elif length == chunk.length:
            firsts.append(chunk)
        else:
            first, rest = cut_chunk(chunk, length, lookbacks.get(chunk.module_id, 0))
            firsts.append(first)
            rests.append(rest)
    return _part(segment, firsts), dataclasses.replace(segment, chunks=tuple(rests))


def _part(segment: EpisodeSegment, chunks: list[Chunk]) -> EpisodeSegment:
    return EpisodeSegment(tuple(chunks), segment.lease)


def _begins(chunk: Chunk) -> Array:
    begins: Array = chunk.columns[ENV_T][chunk.lookback : chunk.lookback + chunk.length]
    return begins


def _begin_times(chunks: tuple[Chunk, ...]) -> Array:
    return np.unique(np.concatenate([_begins(chunk) for chunk in chunks]))


def cut_chunk(chunk: Chunk, length: int, lookback: int) -> tuple[Chunk, Chunk]:
    """Returns the first `length` steps of a chunk, and the rest with up to `lookback` steps before.

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
    times = chunk.columns.get(ENV_T)
    rest = dataclasses.replace(
        chunk,
        env_t_started=chunk.env_t_started + length if times is None else int(times[middle]),
        t_started=chunk.t_started + length,
        length=chunk.length - length,
        lookback=middle - begin,
        columns=rows(begin, chunk.lookback + chunk.length),
    )
    return first, rest
