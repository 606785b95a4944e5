"""Joins chunks of one episode that follow one another.

Fleets send short chunks to stay fresh. Where a chunk ends, a learner goes on with what its value
function says, and not with what really came: longer chunks learn in fewer env steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from headrace.learner.stock import StockedChunk
from headrace.protocol.arrays import Array
from headrace.protocol.trajectory import Chunk, has_last_row


def join_chunks(chunks: Iterable[StockedChunk]) -> list[StockedChunk]:
    """Returns the chunks with those joined that one version recorded without a gap.

    Each stands where its first part stood. Arrays of joined chunks are copies.
    """
    groups: list[list[StockedChunk]] = []
    open_groups: dict[str, list[StockedChunk]] = {}
    for stocked in chunks:
        group = open_groups.get(stocked.chunk.episode_id)
        if group is not None and _follows(group[-1], stocked):
            group.append(stocked)
        else:
            group = [stocked]
            groups.append(group)
        open_groups[stocked.chunk.episode_id] = group
    return [group[0] if len(group) == 1 else _join(group) for group in groups]


def _follows(one: StockedChunk, other: StockedChunk) -> bool:
    ends_at = one.chunk.t_started + one.chunk.length
    return (
        not one.chunk.is_done
        and other.chunk.t_started == ends_at
        and other.lease.version == one.lease.version
    )


def _join(parts: list[StockedChunk]) -> StockedChunk:
    first, last = parts[0].chunk, parts[-1].chunk
    chunks = [part.chunk for part in parts]
    joined = dataclasses.replace(
        last,
        env_t_started=first.env_t_started,
        t_started=first.t_started,
        length=sum(chunk.length for chunk in chunks),
        lookback=first.lookback,
        columns={name: _rows(name, chunks) for name in first.columns},
    )
    return StockedChunk(joined, parts[-1].lease)


def _rows(name: str, chunks: list[Chunk]) -> Array:
    """The context of later chunks, and the observation between two, are there already."""
    pieces = [chunks[0].columns[name]]
    pieces += [chunk.columns[name][chunk.lookback :] for chunk in chunks[1:]]
    if has_last_row(name):
        pieces = [*(piece[:-1] for piece in pieces[:-1]), pieces[-1]]
    rows: Array = np.concatenate(pieces)
    return rows
