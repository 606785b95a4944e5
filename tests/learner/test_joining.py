from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.examples import make_batch

from headrace.learner.joining import join_chunks
from headrace.learner.stock import StockedChunk, cut_chunk
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import Chunk

WHOLE = next(iter(make_batch([9, 1])))


def stocked(chunk: Chunk, version: int = 1) -> StockedChunk:
    lease = Lease(
        session=1,
        number=1,
        actor="a",
        incarnation=1,
        seq=1,
        version=PolicyVersion(1, version),
        env_steps=chunk.length,
    )
    return StockedChunk(chunk, lease)


def pieces(lookback: int = 0) -> list[Chunk]:
    first, rest = cut_chunk(WHOLE, 4, lookback)
    return [first, *cut_chunk(rest, 3, lookback)]


@pytest.mark.parametrize("lookback", [0, 2])
def test_chunks_of_one_episode_are_joined_to_what_they_were_cut_from(lookback: int) -> None:
    other = next(iter(make_batch([5, 1])))
    other = dataclasses.replace(other, episode_id="0" * 32)
    first, second, third = pieces(lookback)
    [joined, beside] = join_chunks(map(stocked, (first, other, second, third)))
    assert beside.chunk is other
    for name, values in WHOLE.columns.items():
        np.testing.assert_array_equal(joined.chunk.columns[name], values)
    assert dataclasses.replace(joined.chunk, columns=WHOLE.columns) == WHOLE


def test_a_gap_or_another_version_keeps_chunks_apart() -> None:
    first, second, third = pieces()
    assert len(join_chunks([stocked(first), stocked(third)])) == 2
    assert len(join_chunks([stocked(first), stocked(second, version=2), stocked(third, 2)])) == 2
    assert len(join_chunks([stocked(second), stocked(first)])) == 2


def test_a_chunk_by_itself_is_not_copied() -> None:
    chunk = stocked(WHOLE)
    assert join_chunks([chunk]) == [chunk]
