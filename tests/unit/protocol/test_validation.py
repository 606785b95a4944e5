from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
import pytest
from support.examples import make_batch, make_columns, make_manifest, make_module, make_table

from headrace.protocol.manifest import DEFAULT_MODULE, ColumnSpec
from headrace.protocol.trajectory import ModuleTrajectories, TrajectoryBatch
from headrace.protocol.validation import find_batch_fault


def test_a_batch_of_the_run_has_no_fault() -> None:
    assert find_batch_fault(make_batch(), make_manifest(), 5) is None


def test_infos_are_allowed_beside_the_columns() -> None:
    batch = make_batch(None, **{"infos/lap": np.zeros(5)})
    assert find_batch_fault(batch, make_manifest(), 5) is None


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"action_logp": None}, "the manifest wants"),
        ({"surprise": np.zeros(5)}, "the manifest wants"),
        ({"rewards": np.ones(4, np.float32)}, "4 rows, the chunks need 5"),
        ({"obs": np.zeros((5, 4), np.float32)}, "5 rows, the chunks need 7"),
        ({"obs": np.zeros((7, 3), np.float32)}, r"shape \(3,\)"),
        ({"obs": np.zeros((7, 4), np.float64)}, "dtype float64"),
        ({"rewards": np.ones(5, ">f4")}, "dtype >f4"),
        ({"rewards": np.array([1, 1, np.nan, 1, 1], np.float32)}, "not finite"),
        ({"obs": np.full((7, 4), np.inf, np.float32)}, "not finite"),
        ({"actions": np.array([0, 1, 2, 0, 0])}, "above 1.0"),
        ({"actions": np.array([0, 1, -1, 0, 0])}, "below 0.0"),
    ],
)
def test_a_column_that_does_not_fit_is_named(columns: dict[str, Any], fault: str) -> None:
    found = find_batch_fault(make_batch(**columns), make_manifest(), 5)
    assert found is not None
    assert re.search(fault, found)


@pytest.mark.parametrize(("value", "fits"), [(-np.inf, True), (np.inf, True), (np.nan, False)])
def test_masked_actions_may_be_infinitely_unlikely(value: float, fits: bool) -> None:
    module = make_module()
    logits = ColumnSpec("action_dist_inputs", "float32", (2,))
    module = msgspec.structs.replace(module, columns=(*module.columns, logits))
    rows = np.array([[0.0, value]] * 5, np.float32)
    batch = make_batch(action_dist_inputs=rows)
    assert (find_batch_fault(batch, make_manifest(module=module), 5) is None) is fits


def test_empty_rows_are_within_any_bounds() -> None:
    module = make_module()
    empty = ColumnSpec("mask", "float32", (0,), 0.0, 1.0)
    module = msgspec.structs.replace(module, columns=(*module.columns, empty))
    batch = make_batch(mask=np.zeros((5, 0), np.float32))
    assert find_batch_fault(batch, make_manifest(module=module), 5) is None


def test_an_unknown_module_is_named() -> None:
    part = make_batch().modules[DEFAULT_MODULE]
    fault = find_batch_fault(TrajectoryBatch({"other": part}), make_manifest(), 5)
    assert fault is not None
    assert "'other'" in fault


@pytest.mark.parametrize("claimed", [4, 6])
def test_env_steps_must_match_the_chunks(claimed: int) -> None:
    fault = find_batch_fault(make_batch(), make_manifest(), claimed)
    assert fault == f"the header claims {claimed} env steps, the chunks hold 5"


def test_with_several_agents_env_steps_may_be_fewer_than_agent_steps() -> None:
    manifest = msgspec.structs.replace(make_manifest(), multi_agent=True)
    assert find_batch_fault(make_batch(), manifest, 3) is None
    assert find_batch_fault(make_batch(), manifest, 6) is not None


def test_a_lookback_above_the_manifests_is_refused() -> None:
    table = make_table([3, 2], lookback=[0, 1], t_started=[0, 5])
    batch = TrajectoryBatch({DEFAULT_MODULE: ModuleTrajectories(table, make_columns([3, 3]))})
    assert "lookback" in (find_batch_fault(batch, make_manifest(), 5) or "")
    recurrent = make_manifest(module=make_module(lookback=1))
    assert find_batch_fault(batch, recurrent, 5) is None
