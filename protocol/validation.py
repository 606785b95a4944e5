"""Checks whether a batch fits its run, as the broker does when a batch arrives."""

from __future__ import annotations

import numpy as np

from headrace.protocol.arrays import Array
from headrace.protocol.manifest import ColumnSpec, Manifest, ModuleManifest, numpy_dtype
from headrace.protocol.policy_graph import ACTION_DIST_INPUTS
from headrace.protocol.trajectory import (
    INFOS,
    ModuleTrajectories,
    TrajectoryBatch,
    has_last_row,
    is_column,
)


def find_batch_fault(batch: TrajectoryBatch, manifest: Manifest, env_steps: int) -> str | None:
    """Returns one sentence on the first mismatch of a batch with the manifest, or None.

    Args:
        env_steps: the count that the header claims.
    """
    for module_id, part in batch.modules.items():
        module = manifest.modules.get(module_id)
        if module is None:
            known = ", ".join(sorted(manifest.modules))
            return f"module {module_id!r} is not in the manifest; it has {known}"
        if (fault := _find_module_fault(part, module)) is not None:
            return f"module {module_id!r}: {fault}"
    agent_steps = batch.agent_steps
    if env_steps > agent_steps or (not manifest.multi_agent and env_steps != agent_steps):
        return f"the header claims {env_steps} env steps, the chunks hold {agent_steps}"
    return None


def _find_module_fault(part: ModuleTrajectories, module: ModuleManifest) -> str | None:
    expected = {column.name for column in module.columns}
    found = {name for name in part.columns if not is_column(INFOS, name)}
    if expected != found:
        return f"columns {sorted(found)}; the manifest wants {sorted(expected)}"
    if part.chunks.longest_lookback > module.lookback:
        return f"a lookback above the manifest's {module.lookback}"
    steps = part.chunks.rows
    for name, values in part.columns.items():
        rows = steps + len(part.chunks) if has_last_row(name) else steps
        if len(values) != rows:
            return f"column {name!r} has {len(values)} rows, the chunks need {rows}"
    for column in module.columns:
        if (fault := _find_column_fault(part.columns[column.name], column)) is not None:
            return f"column {column.name!r} {fault}"
    return None


def _find_column_fault(values: Array, column: ColumnSpec) -> str | None:
    if values.dtype != numpy_dtype(column):
        return f"has dtype {values.dtype}, the manifest wants {column.dtype}"
    if values.shape[1:] != column.shape:
        return f"has rows of shape {values.shape[1:]}, the manifest wants {column.shape}"
    # Ufuncs, because the array methods of the same names cost more than a small column does.
    if values.dtype.kind in "fc" and not np.logical_and.reduce(_is_valid(values, column), None):
        return "holds a value that is not finite"
    if not values.size:
        return None
    if column.low is not None and np.minimum.reduce(values, None) < column.low:
        return f"holds a value below {column.low}"
    if column.high is not None and np.maximum.reduce(values, None) > column.high:
        return f"holds a value above {column.high}"
    return None


def _is_valid(values: Array, column: ColumnSpec) -> Array:
    if column.name == ACTION_DIST_INPUTS:  # masked actions may be infinitely unlikely
        return ~np.isnan(values)
    return np.isfinite(values)
