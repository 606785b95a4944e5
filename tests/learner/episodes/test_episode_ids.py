from __future__ import annotations

import dataclasses

from support.examples import make_batch

from headrace.learner.episodes.episode_ids import ContiguousEpisodeIds
from headrace.protocol.trajectory import Chunk

EPISODE = next(iter(make_batch([3, 2])))


def chunk(t_started: int, length: int, *, is_over: bool = False) -> Chunk:
    return dataclasses.replace(
        EPISODE, t_started=t_started, length=length, terminated=is_over, truncated=False
    )


def test_consecutive_chunks_keep_their_episodes_id() -> None:
    names = ContiguousEpisodeIds()
    chunks = [chunk(0, 5), chunk(5, 3), chunk(8, 1, is_over=True)]
    assert {names.name(part) for part in chunks} == {EPISODE.episode_id}


def test_chunks_after_a_gap_get_another_name() -> None:
    names = ContiguousEpisodeIds()
    first, after, on = (names.name(part) for part in (chunk(0, 5), chunk(9, 2), chunk(11, 2)))
    assert first == EPISODE.episode_id
    assert after == on != first


def test_a_chunk_whose_predecessor_went_to_another_runner_gets_its_own_name() -> None:
    one, other = ContiguousEpisodeIds(), ContiguousEpisodeIds()
    named = [one.name(chunk(0, 5)), other.name(chunk(5, 5)), one.name(chunk(10, 5))]
    assert len(set(named)) == 3


def test_an_episode_that_is_over_is_forgotten() -> None:
    names = ContiguousEpisodeIds()
    names.name(chunk(0, 5, is_over=True))
    assert names.name(chunk(0, 5)) == EPISODE.episode_id
