from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from support.examples import make_batch, make_columns, make_table

from headrace.protocol.ended_episodes import AgentTotals, EndedEpisode, ended_to_wire
from headrace.protocol.errors import LocalProtocolError, RemoteProtocolError
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.payload import encode_payload
from headrace.protocol.trajectory import (
    ModuleTrajectories,
    TrajectoryBatch,
    has_last_row,
    pack_batch,
    unpack_batch,
)

NAN = float("nan")


def _frame(lengths: list[int] | None = None, **table: Any) -> bytes:
    lengths = lengths or [3, 2]
    part = ModuleTrajectories(make_table(lengths, **table), make_columns(lengths))
    return pack_batch(TrajectoryBatch({"m": part}))


def test_a_batch_survives_a_round_trip() -> None:
    batch = make_batch([3, 2])
    chunks, again = list(batch), list(unpack_batch(pack_batch(batch)))
    assert len(again) == 2
    for one, other in zip(chunks, again, strict=True):
        for name, values in one.columns.items():
            np.testing.assert_array_equal(values, other.columns[name])
        assert (one.episode_id, one.length, one.is_done) == (
            other.episode_id,
            other.length,
            other.is_done,
        )


def test_chunks_are_views_of_consecutive_rows() -> None:
    batch = make_batch([3, 2])
    first, second = batch
    obs = batch.modules["default_policy"].columns["obs"]
    assert first.columns["obs"].base is not None
    np.testing.assert_array_equal(first.columns["obs"], obs[:4])
    np.testing.assert_array_equal(second.columns["obs"], obs[4:])
    assert (first.is_done, first.episode_return, second.is_done) == (True, 3.0, False)


def test_lookback_rows_come_first_and_are_not_counted_as_steps() -> None:
    table = make_table([3, 2], lookback=[0, 1], t_started=[0, 5])
    columns = make_columns([3, 3])
    batch = TrajectoryBatch({"m": ModuleTrajectories(table, columns)})
    second = list(batch)[1]
    assert batch.agent_steps == 5
    assert len(second.columns["obs"]) == 1 + 2 + 1
    assert len(second.columns["rewards"]) == 1 + 2


def test_agents_of_one_module_share_its_arrays() -> None:
    table = make_table([3, 2], agents=("red", "blue"), agent=[1, 0])
    batch = TrajectoryBatch({"m": ModuleTrajectories(table, make_columns([3, 2]))})
    assert [chunk.agent_id for chunk in unpack_batch(pack_batch(batch))] == ["blue", "red"]


def test_a_ragged_chunk_table_is_a_local_error() -> None:
    with pytest.raises(LocalProtocolError, match="'episode_id'"):
        _frame(episode_id=np.zeros((1, 16), np.uint8))


@pytest.mark.parametrize(
    "table",
    [
        {"agent": [0, 1]},
        {"agent": [0, -1]},
        {"length": [3, 0]},
        {"length": [3, 2**40]},
        {"lookback": [0, -1]},
        {"lookback": [0, 1]},
        {"t_started": [0, -1]},
        {"t_started": [0, 2**53]},
        {"env_t_started": [-1, 0]},
        {"terminated": [2, 0]},
        {"truncated": [0, -1]},
        {"episode_return": [NAN, NAN]},
        {"episode_length": [2, 0]},
    ],
)
def test_a_chunk_table_that_contradicts_itself_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        unpack_batch(_frame(**table))


def _tree() -> dict[str, Any]:
    table = make_table([3, 2])
    chunks = {
        "agents": list(table.agents),
        "episode_id": table.episode_id,
        "integers": table.integers,
        "floats": table.floats,
    }
    return {"m": {"chunks": chunks, "columns": make_columns([3, 2])}}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.clear(),
        lambda tree: tree.update(m=3),
        lambda tree: tree["m"].pop("chunks"),
        lambda tree: tree["m"].update(columns=[]),
        lambda tree: tree["m"]["columns"].update(obs=3),
        lambda tree: tree["m"]["columns"].update(obs=np.float32(3)),
        lambda tree: tree["m"]["chunks"].pop("integers"),
        lambda tree: tree["m"]["chunks"].update(integers=np.zeros((2, 8))),
        lambda tree: tree["m"]["chunks"].update(integers=np.ones((2, 7), np.int64)),
        lambda tree: tree["m"]["chunks"].update(integers=np.ones((1, 8), np.int64)),
        lambda tree: tree["m"]["chunks"].update(integers=np.int64(3)),
        lambda tree: tree["m"]["chunks"].update(integers=tree["m"]["chunks"]["floats"]),
        lambda tree: tree["m"]["chunks"].update(floats=np.zeros((2, 3))),
        lambda tree: tree["m"]["chunks"].update(floats="none"),
        lambda tree: tree["m"]["chunks"].update(episode_id=np.zeros((2, 8), np.uint8)),
        lambda tree: tree["m"]["chunks"].update(agents="a"),
        lambda tree: tree["m"]["chunks"].update(agents=[1]),
        lambda tree: tree["m"]["chunks"].pop("episode_id"),
    ],
)
def test_a_payload_that_is_not_a_batch_is_refused(spoil: Any) -> None:
    tree = _tree()
    assert unpack_batch(encode_payload(tree)).agent_steps == 5
    spoil(tree)
    with pytest.raises(RemoteProtocolError):
        unpack_batch(encode_payload(tree))


def test_an_empty_chunk_table_is_refused() -> None:
    tree = _tree()
    for name in ("episode_id", "integers", "floats"):
        tree["m"]["chunks"][name] = tree["m"]["chunks"][name][:0]
    with pytest.raises(RemoteProtocolError, match="empty"):
        unpack_batch(encode_payload(tree))


def test_more_chunks_than_the_limit_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="more than 1 chunks"):
        unpack_batch(_frame(), DecodeLimits(max_chunks=1))


ENDED = EndedEpisode(
    chunk=1,
    truncated=False,
    env_steps=7,
    episode_s=0.5,
    agents=(AgentTotals("a", "m", 5, 2.5), AgentTotals("b", "n", 3, -1.0)),
)


def _frame_with_ended(ended: Any) -> bytes:
    table = make_table([3, 2])
    chunks = {
        "agents": list(table.agents),
        "episode_id": table.episode_id,
        "integers": table.integers,
        "floats": table.floats,
        "ended": ended,
    }
    return encode_payload({"m": {"chunks": chunks, "columns": make_columns([3, 2])}})


def test_an_ended_multi_agent_episode_is_reported_under_its_id() -> None:
    table = replace(make_table([3, 2]), ended=(ENDED,))
    batch = unpack_batch(
        pack_batch(TrajectoryBatch({"m": ModuleTrajectories(table, make_columns([3, 2]))}))
    )
    last = list(batch)[1]
    assert batch.ended == {last.episode_id: ENDED}
    assert batch.ended[last.episode_id].episode_return == 1.5


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (5, "Expected `array`"),
        ([{"chunk": 0}], "missing required field"),
        (ended_to_wire([structs.replace(ENDED, chunk=2)]), "not in the table"),
        (ended_to_wire([structs.replace(ENDED, episode_s=NAN)]), "not finite"),
        (ended_to_wire([structs.replace(ENDED, agents=(AgentTotals("a", "m", 1, NAN),))]), "not"),
    ],
)
def test_inconsistent_ended_episodes_are_refused(ended: Any, fault: str) -> None:
    with pytest.raises(RemoteProtocolError, match=fault):
        unpack_batch(_frame_with_ended(ended))


def test_observations_and_their_env_steps_have_a_row_after_the_last_step() -> None:
    assert [has_last_row(name) for name in ("obs", "obs/x", "env_t", "rewards", "obs2")] == [
        True,
        True,
        True,
        False,
        False,
    ]
