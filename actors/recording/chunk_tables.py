"""The table of a module's chunks, one row per chunk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headrace.protocol.ended_episodes import EndedEpisode
from headrace.protocol.trajectory import EPISODE_ID_BYTES, ChunkTable


class WholeEpisode(NamedTuple):
    """The totals of an agent's episode that has ended.

    Attributes:
        steps: steps of this agent.
        seconds: duration on the simulator's clock.
    """

    steps: int
    episode_return: float
    seconds: float


class ChunkRow(NamedTuple):
    """One chunk; see `ChunkTable` for what the numbers mean.

    Attributes:
        whole: None unless the episode ended with this chunk.
    """

    episode_id: bytes
    agent: str
    env_t_started: int
    t_started: int
    length: int
    lookback: int
    terminated: bool = False
    truncated: bool = False
    whole: WholeEpisode | None = None


def make_chunk_table(rows: Sequence[ChunkRow], ended: Sequence[EndedEpisode] = ()) -> ChunkTable:
    """Returns the table of at least one chunk, in the given order.

    Args:
        ended: multi-agent episodes that ended for all of their agents.
    """
    agents = {row.agent: 0 for row in rows}
    for number, agent in enumerate(agents):
        agents[agent] = number
    return ChunkTable(
        agents=tuple(agents),
        episode_id=np.frombuffer(b"".join([row.episode_id for row in rows]), np.uint8).reshape(
            -1, EPISODE_ID_BYTES
        ),
        integers=np.array([_integers(row, agents[row.agent]) for row in rows], np.int64),
        floats=np.array([_floats(row.whole) for row in rows], np.float64),
        ended=tuple(ended),
    )


def _integers(row: ChunkRow, agent: int) -> tuple[int, ...]:
    """Returns the numbers in the order of INTEGER_FIELDS."""
    return (
        agent,
        row.env_t_started,
        row.t_started,
        row.length,
        row.lookback,
        row.terminated,
        row.truncated,
        row.whole.steps if row.whole is not None else 0,
    )


def _floats(whole: WholeEpisode | None) -> tuple[float, float]:
    """Returns the numbers in the order of FLOAT_FIELDS."""
    return (math.nan, math.nan) if whole is None else (whole.episode_return, whole.seconds)
