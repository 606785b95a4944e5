"""Batches of a known layout are checked by their numbers, with the same result."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import make_columns, make_manifest, make_module, make_table

from headrace.protocol.batch_layouts import BatchLayouts
from headrace.protocol.ended_episodes import AgentTotals, EndedEpisode
from headrace.protocol.errors import RemoteProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE, ColumnSpec, Manifest
from headrace.protocol.trajectory import (
    ChunkTable,
    ModuleTrajectories,
    TrajectoryBatch,
    pack_batch,
    unpack_batch,
)
from headrace.protocol.validation import find_batch_fault

FEW, MANY = [3, 2], [2] * 40
LOOKBACK = make_manifest(module=make_module(lookback=4))


def payload_of(lengths: list[int], table: dict[str, Any] | None = None, **columns: Any) -> bytes:
    part = ModuleTrajectories(
        make_table(lengths, **(table or {})), make_columns(lengths, **columns)
    )
    return pack_batch(TrajectoryBatch({DEFAULT_MODULE: part}))


def taught(payload: bytes, manifest: Manifest | None = None) -> BatchLayouts:
    layouts = BatchLayouts(manifest or make_manifest())
    for _ in range(2):
        layouts.learn(payload, unpack_batch(payload))
    return layouts


def is_valid(payload: bytes, manifest: Manifest, env_steps: int) -> bool:
    try:
        batch = unpack_batch(payload)
    except RemoteProtocolError:
        return False
    return find_batch_fault(batch, manifest, env_steps) is None


def test_a_layout_is_learned_when_its_length_comes_again() -> None:
    payload, layouts = payload_of(FEW), BatchLayouts(make_manifest())
    for _ in range(2):
        assert not layouts.accepts(payload, 5)
        layouts.learn(payload, unpack_batch(payload))
    assert layouts.accepts(payload, 5)
    assert layouts.accepts(memoryview(payload), 5)


@pytest.mark.parametrize("lengths", [FEW, MANY])
def test_other_numbers_in_a_known_layout_are_accepted(lengths: list[int]) -> None:
    layouts, steps = taught(payload_of(lengths)), sum(lengths)
    rewards = np.linspace(-5, 5, steps, dtype=np.float32)
    others = {"t_started": [7] * len(lengths), "episode_length": [99] * len(lengths)}
    table = {**others, "episode_id": np.ones((len(lengths), 16), np.uint8)}
    other = payload_of(lengths, table, rewards=rewards)
    assert is_valid(other, make_manifest(), steps)
    assert layouts.accepts(other, steps)


@pytest.mark.parametrize("env_steps", [4, 6])
def test_a_header_that_claims_other_steps_is_not_accepted(env_steps: int) -> None:
    assert not taught(payload_of(FEW)).accepts(payload_of(FEW), env_steps)


def test_agents_of_one_env_step_are_counted_as_the_manifest_says() -> None:
    manifest = msgspec.structs.replace(make_manifest(), multi_agent=True)
    payload = payload_of(FEW)
    assert [taught(payload, manifest).accepts(payload, steps) for steps in (4, 5, 6)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("lengths", [FEW, MANY])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent", 1),
        ("agent", -1),
        ("t_started", -1),
        ("t_started", 2**53),
        ("length", 0),
        ("length", 9),
        ("lookback", 1),
        ("terminated", 2),
        ("truncated", -1),
        ("episode_length", 1),
        ("episode_return", np.nan),
        ("episode_return", np.inf),
    ],
)
def test_a_chunk_table_with_a_wrong_number_is_not_accepted(
    lengths: list[int], field: str, value: float
) -> None:
    layouts = taught(payload_of(lengths), LOOKBACK)
    table = make_table(lengths)
    integers = ("agent", "env_t_started", "t_started", "length", "lookback")
    names = (*integers, "terminated", "truncated", "episode_length")
    if field in names:
        table.integers[0, names.index(field)] = value
    else:
        table.floats[0, 0] = value
    part = ModuleTrajectories(table, make_columns(lengths))
    payload = pack_batch(TrajectoryBatch({DEFAULT_MODULE: part}))
    assert not is_valid(payload, LOOKBACK, sum(lengths))
    assert not layouts.accepts(payload, sum(lengths))


@pytest.mark.parametrize("lengths", [[4, 3], [4] * 30])
def test_context_within_the_episode_is_accepted_and_before_it_is_not(lengths: list[int]) -> None:
    count = len(lengths)
    own = [length - 2 for length in lengths]
    started = {"t_started": [5] * count, "episode_length": [20] * count}
    table = {**started, "length": own, "lookback": [2] * count}
    layouts = taught(payload_of(lengths, table), LOOKBACK)
    assert layouts.accepts(payload_of(lengths, table), sum(own))
    early = {**table, "t_started": [5] * (count - 1) + [1]}
    assert not layouts.accepts(payload_of(lengths, early), sum(own))
    longer = {**table, "length": [own[0] - 3, *own[1:]], "lookback": [5] + [2] * (count - 1)}
    assert not layouts.accepts(payload_of(lengths, longer), sum(own) - 3)


@pytest.mark.parametrize(
    "columns",
    [
        {"rewards": np.array([1, 1, np.nan, 1, 1], np.float32)},
        {"obs": np.full((7, 4), np.inf, np.float32)},
        {"actions": np.array([0, 1, 2, 0, 0])},
        {"actions": np.array([0, 1, -1, 0, 0])},
        {"actions": np.array([0, 1, -(2**63), 0, 0])},
    ],
)
def test_a_column_with_a_wrong_number_is_not_accepted(columns: dict[str, Any]) -> None:
    assert not taught(payload_of(FEW)).accepts(payload_of(FEW, **columns), 5)


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_numbers_whose_square_overflows_are_left_to_the_other_check(value: float) -> None:
    payload = payload_of(FEW, obs=np.full((7, 4), value, np.float32))
    assert is_valid(payload, make_manifest(), 5)
    assert not taught(payload).accepts(payload, 5)


BOUNDED = [
    (ColumnSpec("extra", "uint8", (), 0.0, 200.0), [0, 200], [201]),
    (ColumnSpec("extra", "int8", (), 0.0, 127.0), [0, 127], [-1]),
    (ColumnSpec("extra", "int64", (), -2.0, 2.0), [-2, 2], [-3, 3]),
    (ColumnSpec("extra", "float32", (), -1.0, 1.0), [-1, 1], [1.5, -1.5, np.nan]),
    (ColumnSpec("extra", "float64", (), 0.0, None), [0, 1e9], [-0.5, np.inf]),
    (ColumnSpec("action_dist_inputs", "float32", ()), [-np.inf, 1, 3e38], [np.nan]),
    (ColumnSpec("extra", "float16", ()), [1, 100], [np.inf]),
    (ColumnSpec("extra", "bool", ()), [0, 1], []),
]


@pytest.mark.parametrize(("column", "valid", "invalid"), BOUNDED)
def test_bounds_are_those_of_the_manifest(
    column: ColumnSpec, valid: list[float], invalid: list[float]
) -> None:
    module = make_module()
    module = msgspec.structs.replace(module, columns=(*module.columns, column))
    manifest = make_manifest(module=module)

    def with_value(value: float) -> bytes:
        columns: dict[str, Any] = {column.name: np.full(5, value, column.dtype)}
        return payload_of(FEW, None, **columns)

    layouts = taught(with_value(valid[0]), manifest)
    for value in valid:
        assert is_valid(with_value(value), manifest, 5)
        assert layouts.accepts(with_value(value), 5)
    for value in invalid:
        assert not is_valid(with_value(value), manifest, 5)
        assert not layouts.accepts(with_value(value), 5)


def test_another_layout_of_the_same_length_is_not_accepted() -> None:
    payload = payload_of(FEW)
    other = payload.replace(b"rewards", b"Rewards")
    assert len(other) == len(payload)
    assert not taught(payload).accepts(other, 5)


def test_batches_with_ended_episodes_of_several_agents_have_no_layout() -> None:
    table = make_table(FEW)
    totals = (AgentTotals("a", DEFAULT_MODULE, 3, 3.0),)
    ended = (EndedEpisode(0, False, 3, 1.0, totals),)
    table = ChunkTable(table.agents, table.episode_id, table.integers, table.floats, ended)
    part = ModuleTrajectories(table, make_columns(FEW))
    payload = pack_batch(TrajectoryBatch({DEFAULT_MODULE: part}))
    assert not taught(payload).accepts(payload, 5)


@pytest.mark.parametrize("place", ["first", "last", "first, with other numbers"])
def test_a_payload_with_a_column_twice_is_valid_and_has_no_layout(place: str) -> None:
    """The last one counts; it is not certain where its bytes are."""
    payload = payload_of(FEW)
    start = payload.index(b"\x84\xa3obs")
    stop = payload.index(b"\xabaction_logp")
    again = payload[stop:]
    columns = payload[start + 1 :]
    other = again[:-1] + b"\x00" if "other" in place else again
    doubled = columns + again if place == "last" else other + columns
    twice = payload[:start] + b"\x85" + doubled
    assert is_valid(twice, make_manifest(), 5)
    assert not taught(twice).accepts(twice, 5)


def test_the_layouts_that_came_last_are_kept() -> None:
    layouts = BatchLayouts(make_manifest())
    payloads = [payload_of([length]) for length in range(1, 1100)]
    for payload in payloads:
        for _ in range(2):
            layouts.learn(payload, unpack_batch(payload))
    assert not layouts.accepts(payloads[0], 1)
    assert layouts.accepts(payloads[-1], 1099)


def test_a_length_is_forgotten_when_many_others_came_since() -> None:
    layouts, payload = BatchLayouts(make_manifest()), payload_of(FEW)
    batch = unpack_batch(payload)
    layouts.learn(payload, batch)
    for length in range(10_000, 14_096):
        layouts.learn(bytes(length), batch)
    layouts.learn(payload, batch)
    assert not layouts.accepts(payload, 5)
    layouts.learn(payload, batch)
    assert layouts.accepts(payload, 5)


@pytest.mark.parametrize("lengths", [[5], [2] * 40])
def test_chunks_whose_episodes_go_on_are_accepted(lengths: list[int]) -> None:
    payload = payload_of(lengths, {"terminated": [0] * len(lengths)})
    assert taught(payload).accepts(payload, sum(lengths))


@given(seed=st.integers(0, 2**32), lengths=st.sampled_from([FEW, MANY]))
@settings(max_examples=300, deadline=None)
def test_what_is_accepted_after_any_change_of_bytes_is_valid(seed: int, lengths: list[int]) -> None:
    rng = random.Random(seed)
    payload = payload_of(lengths)
    manifest = msgspec.structs.replace(LOOKBACK, multi_agent=True)  # takes any number of env steps
    layouts = taught(payload, manifest)
    changed = bytearray(payload)
    for _ in range(rng.randrange(1, 5)):
        changed[rng.randrange(len(changed))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    if layouts.accepts(bytes(changed), 0):
        assert is_valid(bytes(changed), manifest, 0)
