"""Segments of several agents: grouped, cut between env steps, and joined again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from support.examples import make_batch, make_table

from headrace.learner.episodes.segment_joining import join_segments
from headrace.learner.episodes.segments import EpisodeSegment, cut_segment, segments_of
from headrace.protocol.ended_episodes import AgentTotals, EndedEpisode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Lease
from headrace.protocol.trajectory import ModuleTrajectories, TrajectoryBatch

LEASE = Lease(
    session=1,
    number=1,
    actor="a",
    incarnation=1,
    seq=1,
    version=PolicyVersion(1, 1),
    env_steps=6,
)
EPISODE = np.full((1, 16), 7, np.uint8)
ENDED = EndedEpisode(
    chunk=0, truncated=False, env_steps=6, episode_s=1.0, agents=(AgentTotals("a", "m", 6, 6.0),)
)


def make_part(agent: str, env_ts: list[int], ended: tuple[EndedEpisode, ...] = ()) -> Any:
    """A chunk of an agent with observations at these env steps, the last one at its end."""
    steps = len(env_ts) - 1
    table = make_table([steps], agents=(agent,), episode_id=EPISODE, env_t_started=[env_ts[0]])
    columns = {"obs": np.array(env_ts), "env_t": np.array(env_ts), "rewards": np.ones(steps)}
    return ModuleTrajectories(dataclasses.replace(table, ended=ended), columns)


def make_segment() -> EpisodeSegment:
    parts = {
        "m": make_part("often", [0, 1, 2, 3, 4, 5, 6], (ENDED,)),
        "n": make_part("seldom", [0, 3, 6]),
    }
    [segment] = segments_of(TrajectoryBatch(parts), LEASE)
    return segment


def times_of(segment: EpisodeSegment) -> dict[str, list[int]]:
    return {chunk.agent_id: chunk.columns["env_t"].tolist() for chunk in segment.chunks}


def test_agents_of_one_episode_form_one_segment_whose_env_steps_count_once() -> None:
    segment = make_segment()
    assert [chunk.agent_id for chunk in segment.chunks] == ["often", "seldom"]
    assert (segment.env_steps, segment.ended) == (6, ENDED)


def test_a_segment_is_cut_between_env_steps_for_all_of_its_agents() -> None:
    first, rest = cut_segment(make_segment(), 2, {"m": 1})
    assert times_of(first) == {"often": [0, 1, 2], "seldom": [0, 3]}
    assert times_of(rest) == {"often": [1, 2, 3, 4, 5, 6], "seldom": [3, 6]}
    assert [chunk.lookback for chunk in rest.chunks] == [1, 0]
    assert [chunk.env_t_started for chunk in rest.chunks] == [2, 3]
    assert (first.env_steps, rest.env_steps) == (2, 4)
    assert (first.ended, rest.ended) == (None, ENDED)


def test_an_agent_with_all_steps_on_one_side_is_only_there() -> None:
    first, rest = cut_segment(make_segment(), 4, {})
    assert times_of(first) == {"often": [0, 1, 2, 3, 4], "seldom": [0, 3, 6]}
    assert times_of(rest) == {"often": [4, 5, 6]}


def test_joining_cut_segments_restores_the_original() -> None:
    segment = make_segment()
    first, rest = cut_segment(segment, 2, {"m": 1})
    middle, last = cut_segment(rest, 3, {})
    [joined] = join_segments([first, middle, last])
    assert times_of(joined) == times_of(segment)
    assert (joined.env_steps, joined.ended) == (6, ENDED)
    assert [dataclasses.replace(c, columns={}) for c in joined.chunks] == [
        dataclasses.replace(c, columns={}) for c in segment.chunks
    ]


def test_a_gap_of_one_agent_keeps_segments_apart() -> None:
    first, rest = cut_segment(make_segment(), 2, {})
    _, last = cut_segment(rest, 1, {})
    assert join_segments([first, last]) == [first, last]


def test_chunks_of_one_agent_that_are_not_consecutive_are_separate_segments() -> None:
    batch = make_batch([3, 2])
    table = batch.modules["default_policy"].chunks
    same = dataclasses.replace(table, episode_id=np.repeat(EPISODE, 2, axis=0))
    columns = batch.modules["default_policy"].columns
    segments = segments_of(TrajectoryBatch({"m": ModuleTrajectories(same, columns)}), LEASE)
    assert [segment.env_steps for segment in segments] == [3, 2]
