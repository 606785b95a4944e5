from __future__ import annotations

import math

import numpy as np

from headrace.actors.recording.chunk_tables import ChunkRow, WholeEpisode, make_chunk_table
from headrace.protocol.trajectory import INTEGER_FIELDS

FIRST, SECOND = bytes(range(16)), bytes(range(16, 32))


def test_a_table_has_one_row_per_chunk_in_order() -> None:
    table = make_chunk_table(
        [
            ChunkRow(FIRST, "red", env_t_started=4, t_started=3, length=5, lookback=2),
            ChunkRow(SECOND, "blue", 0, 0, 7, 0, truncated=True, whole=WholeEpisode(7, 2.5, 0.25)),
            ChunkRow(FIRST, "red", 9, 8, 1, 1, terminated=True, whole=WholeEpisode(9, -1.0, 3.0)),
        ]
    )
    assert table.agents == ("red", "blue")
    assert table.episode_id.tobytes() == FIRST + SECOND + FIRST
    named = [dict(zip(INTEGER_FIELDS, row, strict=True)) for row in table.integers.tolist()]
    assert [row["agent"] for row in named] == [0, 1, 0]
    assert [row["env_t_started"] for row in named] == [4, 0, 9]
    assert [row["t_started"] for row in named] == [3, 0, 8]
    assert [row["length"] for row in named] == [5, 7, 1]
    assert [row["lookback"] for row in named] == [2, 0, 1]
    assert [(row["terminated"], row["truncated"]) for row in named] == [(0, 0), (0, 1), (1, 0)]
    assert [row["episode_length"] for row in named] == [0, 7, 9]
    assert table.integers.dtype == np.int64
    assert table.floats.tolist()[1:] == [[2.5, 0.25], [-1.0, 3.0]]
    assert all(math.isnan(value) for value in table.floats[0])
