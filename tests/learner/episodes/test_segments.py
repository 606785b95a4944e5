"""Chunks of several agents, put together, cut between env steps, and joined again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from support.examples import make_batch, make_table

from headrace.learner.episodes.segment_joining import join_pieces
from headrace.learner.episodes.segments import EpisodePiece, cut_piece, pieces_of
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
    """A chunk of an agent that saw something at these env steps, the last one at the end."""
    steps = len(env_ts) - 1
    table = make_table([steps], agents=(agent,), episode_id=EPISODE, env_t_started=[env_ts[0]])
    columns = {"obs": np.array(env_ts), "env_t": np.array(env_ts), "rewards": np.ones(steps)}
    return ModuleTrajectories(dataclasses.replace(table, ended=ended), columns)


def make_piece() -> EpisodePiece:
    parts = {
        "m": make_part("often", [0, 1, 2, 3, 4, 5, 6], (ENDED,)),
        "n": make_part("seldom", [0, 3, 6]),
    }
    [piece] = pieces_of(TrajectoryBatch(parts), LEASE)
    return piece


def times_of(piece: EpisodePiece) -> dict[str, list[int]]:
    return {chunk.agent_id: chunk.columns["env_t"].tolist() for chunk in piece.chunks}


def test_agents_of_one_episode_are_one_piece_whose_env_steps_count_once() -> None:
    piece = make_piece()
    assert [chunk.agent_id for chunk in piece.chunks] == ["often", "seldom"]
    assert (piece.env_steps, piece.ended) == (6, ENDED)


def test_a_piece_is_cut_between_env_steps_for_all_of_its_agents() -> None:
    first, rest = cut_piece(make_piece(), 2, {"m": 1})
    assert times_of(first) == {"often": [0, 1, 2], "seldom": [0, 3]}
    assert times_of(rest) == {"often": [1, 2, 3, 4, 5, 6], "seldom": [3, 6]}
    assert [chunk.lookback for chunk in rest.chunks] == [1, 0]
    assert [chunk.env_t_started for chunk in rest.chunks] == [2, 3]
    assert (first.env_steps, rest.env_steps) == (2, 4)
    assert (first.ended, rest.ended) == (None, ENDED)


def test_an_agent_whose_steps_are_all_on_one_side_is_there_alone() -> None:
    first, rest = cut_piece(make_piece(), 4, {})
    assert times_of(first) == {"often": [0, 1, 2, 3, 4], "seldom": [0, 3, 6]}
    assert times_of(rest) == {"often": [4, 5, 6]}


def test_what_was_cut_is_joined_to_what_it_was() -> None:
    piece = make_piece()
    first, rest = cut_piece(piece, 2, {"m": 1})
    middle, last = cut_piece(rest, 3, {})
    [joined] = join_pieces([first, middle, last])
    assert times_of(joined) == times_of(piece)
    assert (joined.env_steps, joined.ended) == (6, ENDED)
    assert [dataclasses.replace(c, columns={}) for c in joined.chunks] == [
        dataclasses.replace(c, columns={}) for c in piece.chunks
    ]


def test_a_gap_of_one_agent_keeps_pieces_apart() -> None:
    first, rest = cut_piece(make_piece(), 2, {})
    _, last = cut_piece(rest, 1, {})
    assert join_pieces([first, last]) == [first, last]


def test_chunks_of_one_agent_that_do_not_follow_one_another_are_pieces_of_their_own() -> None:
    batch = make_batch([3, 2])
    table = batch.modules["default_policy"].chunks
    same = dataclasses.replace(table, episode_id=np.repeat(EPISODE, 2, axis=0))
    columns = batch.modules["default_policy"].columns
    pieces = pieces_of(TrajectoryBatch({"m": ModuleTrajectories(same, columns)}), LEASE)
    assert [piece.env_steps for piece in pieces] == [3, 2]
