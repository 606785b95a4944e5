"""Joins consecutive segments of one episode.

Fleets send short chunks to stay fresh. At the end of a chunk, a learner bootstraps from its value
function instead of the actual rewards: longer chunks learn in fewer env steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from headrace.learner.episodes.segments import EpisodeSegment
from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import EndedEpisode
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import Chunk, has_last_row


class _Joined:
    """Segments to join, with each agent's chunks in the order of their steps."""

    def __init__(self, segment: EpisodeSegment) -> None:
        self._first = segment
        self._chunks = {chunk.agent_id: [chunk] for chunk in segment.chunks}
        self._count = 1
        self._lease: Lease = segment.lease
        self._ended: EndedEpisode | None = segment.ended

    def takes(self, segment: EpisodeSegment) -> bool:
        """Returns whether a segment continues these, without a gap for any agent."""
        return segment.lease.version == self._lease.version and all(
            self._goes_on(chunk) for chunk in segment.chunks
        )

    def _goes_on(self, chunk: Chunk) -> bool:
        own = self._chunks.get(chunk.agent_id)
        if own is None:
            return True
        last = own[-1]
        ends_at = last.t_started + last.length
        return not last.is_done and chunk.t_started == ends_at

    def add(self, segment: EpisodeSegment) -> None:
        for chunk in segment.chunks:
            self._chunks.setdefault(chunk.agent_id, []).append(chunk)
        self._count += 1
        self._lease, self._ended = segment.lease, segment.ended

    @property
    def segment(self) -> EpisodeSegment:
        if self._count == 1:
            return self._first
        chunks = tuple(
            parts[0] if len(parts) == 1 else _join(parts) for parts in self._chunks.values()
        )
        return EpisodeSegment(chunks, self._lease, self._ended)


def join_segments(segments: Iterable[EpisodeSegment]) -> list[EpisodeSegment]:
    """Returns the segments, joining those that one version recorded without a gap.

    A joined segment takes the place of its first part. Arrays of joined chunks are copies.
    """
    joined: list[_Joined] = []
    newest: dict[str, _Joined] = {}
    for segment in segments:
        own = newest.get(segment.episode_id)
        if own is not None and own.takes(segment):
            own.add(segment)
        else:
            own = newest[segment.episode_id] = _Joined(segment)
            joined.append(own)
    return [own.segment for own in joined]


def _join(chunks: list[Chunk]) -> Chunk:
    first, last = chunks[0], chunks[-1]
    return dataclasses.replace(
        last,
        env_t_started=first.env_t_started,
        t_started=first.t_started,
        length=sum(chunk.length for chunk in chunks),
        lookback=first.lookback,
        columns={name: _rows(name, chunks) for name in first.columns},
    )


def _rows(name: str, chunks: list[Chunk]) -> Array:
    """Returns a joined column, without later chunks' context and repeated observations."""
    segments = [chunks[0].columns[name]]
    segments += [chunk.columns[name][chunk.lookback :] for chunk in chunks[1:]]
    if has_last_row(name):
        segments = [*(segment[:-1] for segment in segments[:-1]), segments[-1]]
    rows: Array = np.concatenate(segments)
    return rows
