from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.examples import make_batch

from headrace.learner.episodes.segment_joining import join_segments
from headrace.learner.episodes.segments import EpisodeSegment, cut_chunk
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import Chunk

WHOLE = next(iter(make_batch([9, 1])))


def segment(chunk: Chunk, version: int = 1) -> EpisodeSegment:
    lease = Lease(
        session=1,
        number=1,
        actor="a",
        incarnation=1,
        seq=1,
        version=PolicyVersion(1, version),
        env_steps=chunk.length,
    )
    return EpisodeSegment((chunk,), lease)


def parts(lookback: int = 0) -> list[Chunk]:
    first, rest = cut_chunk(WHOLE, 4, lookback)
    return [first, *cut_chunk(rest, 3, lookback)]


@pytest.mark.parametrize("lookback", [0, 2])
def test_joining_chunks_restores_the_chunk_they_were_cut_from(lookback: int) -> None:
    other = next(iter(make_batch([5, 1])))
    other = dataclasses.replace(other, episode_id="0" * 32)
    first, second, third = parts(lookback)
    [joined, beside] = join_segments(map(segment, (first, other, second, third)))
    assert beside.chunks[0] is other
    for name, values in WHOLE.columns.items():
        np.testing.assert_array_equal(joined.chunks[0].columns[name], values)
    assert dataclasses.replace(joined.chunks[0], columns=WHOLE.columns) == WHOLE


def test_a_gap_or_another_version_keeps_chunks_apart() -> None:
    first, second, third = parts()
    assert len(join_segments([segment(first), segment(third)])) == 2
    assert len(join_segments([segment(first), segment(second, version=2), segment(third, 2)])) == 2
    assert len(join_segments([segment(second), segment(first)])) == 2


def test_a_single_chunk_is_not_copied() -> None:
    alone = segment(WHOLE)
    assert join_segments([alone]) == [alone]
