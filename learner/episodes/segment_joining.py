"""Joins pieces of one episode that follow one another.

Fleets send short chunks to stay fresh. Where a chunk ends, a learner goes on with what its value
function says, and not with what really came: longer chunks learn in fewer env steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from headrace.learner.episodes.segments import EpisodePiece
from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import EndedEpisode
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import Chunk, has_last_row


class _Joined:
    """Pieces that become one, the chunks of each agent in the order of their steps."""

    def __init__(self, piece: EpisodePiece) -> None:
        self._first = piece
        self._chunks = {chunk.agent_id: [chunk] for chunk in piece.chunks}
        self._count = 1
        self._lease: Lease = piece.lease
        self._ended: EndedEpisode | None = piece.ended

    def takes(self, piece: EpisodePiece) -> bool:
        """Whether a piece goes on where these end, without a gap for any agent."""
        return piece.lease.version == self._lease.version and all(
            self._goes_on(chunk) for chunk in piece.chunks
        )

    def _goes_on(self, chunk: Chunk) -> bool:
        own = self._chunks.get(chunk.agent_id)
        if own is None:
            return True
        last = own[-1]
        ends_at = last.t_started + last.length
        return not last.is_done and chunk.t_started == ends_at

    def add(self, piece: EpisodePiece) -> None:
        for chunk in piece.chunks:
            self._chunks.setdefault(chunk.agent_id, []).append(chunk)
        self._count += 1
        self._lease, self._ended = piece.lease, piece.ended

    @property
    def piece(self) -> EpisodePiece:
        if self._count == 1:
            return self._first
        chunks = tuple(
            parts[0] if len(parts) == 1 else _join(parts) for parts in self._chunks.values()
        )
        return EpisodePiece(chunks, self._lease, self._ended)


def join_pieces(pieces: Iterable[EpisodePiece]) -> list[EpisodePiece]:
    """Returns the pieces with those joined that one version recorded without a gap.

    Each stands where its first part stood. Arrays of joined chunks are copies.
    """
    joined: list[_Joined] = []
    newest: dict[str, _Joined] = {}
    for piece in pieces:
        own = newest.get(piece.episode_id)
        if own is not None and own.takes(piece):
            own.add(piece)
        else:
            own = newest[piece.episode_id] = _Joined(piece)
            joined.append(own)
    return [own.piece for own in joined]


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
    """The context of later chunks, and the observation between two, are there already."""
    pieces = [chunks[0].columns[name]]
    pieces += [chunk.columns[name][chunk.lookback :] for chunk in chunks[1:]]
    if has_last_row(name):
        pieces = [*(piece[:-1] for piece in pieces[:-1]), pieces[-1]]
    rows: Array = np.concatenate(pieces)
    return rows
