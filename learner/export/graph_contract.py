"""A graph's part of the manifest: its inputs and outputs, and the columns that actors record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from msgspec import UNSET
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from torch import Tensor

from headrace.learner.export.connectors import ModuleSpaces
from headrace.learner.export.graph_module import PolicyGraphModule
from headrace.learner.spaces import (
    column_of,
    index_ranges,
    is_nested,
    leaf_spaces,
    tensor_of,
    tuple_paths,
)
from headrace.protocol.arrays import Array
from headrace.protocol.manifest import ColumnSpec, PolicyGraph, TensorSpec
from headrace.protocol.policy_graph import (
    ACTION,
    ACTION_DIST_INPUTS,
    ACTION_LOGP,
    ENV_ACTION,
    EXPLORE,
    RECORDED_OBSERVATION,
)
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS, REWARDS, is_column

_RECORDED = {ACTION_LOGP: ACTION_LOGP, ACTION_DIST_INPUTS: ACTION_DIST_INPUTS}


def recorded_columns(
    graph: PolicyGraphModule, spaces: ModuleSpaces, outputs: Mapping[str, Tensor]
) -> tuple[ColumnSpec, ...]:
    """Returns the columns that actors record: observations, the action, the reward, and more."""
    recorded = _recorded_observations(outputs)
    if recorded:
        columns = [_output_column(column, outputs[name]) for name, column in recorded.items()]
    else:
        leaves = leaf_spaces(spaces.observation, OBSERVATIONS)
        columns = [column_of(path, leaf) for path, leaf in leaves.items()]
    columns += [
        _action_column(f"{ACTIONS}{path}", outputs[f"{ACTION}{path}"], leaf)
        for path, leaf in leaf_spaces(spaces.action, "").items()
    ]
    columns.append(ColumnSpec(REWARDS, "float32", ()))
    names = [ACTION_LOGP, ACTION_DIST_INPUTS, *graph.recorded_state]
    columns += [_output_column(name, outputs[name]) for name in names if name in outputs]
    return tuple(columns)


def _recorded_observations(outputs: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: OBSERVATIONS + name.removeprefix(RECORDED_OBSERVATION)
        for name in outputs
        if is_column(RECORDED_OBSERVATION, name)
    }


def _action_column(name: str, rows: Tensor, space: gym.Space[Any]) -> ColumnSpec:
    column = _output_column(name, rows)
    if isinstance(space, gym.spaces.Discrete):
        return ColumnSpec(name, column.dtype, column.shape, 0.0, float(int(space.n) - 1))
    if isinstance(space, gym.spaces.MultiDiscrete):
        highest = float(space.nvec.max() - 1)
        return ColumnSpec(name, column.dtype, column.shape, 0.0, highest)
    return column


def nested_env_actions(space: gym.Space[Any], leaves: Mapping[str, TensorSpec]) -> dict[str, Any]:
    """Returns the fields of a `PolicyGraph` for actions that are nested, or not.

    Args:
        leaves: the outputs for the simulator, by path.
    """
    if not is_nested(space):
        return {"env_action": leaves[""]}
    return {
        "env_action": TensorSpec(ENV_ACTION, "float32", (0,)),
        "env_actions": tuple(leaves.values()),
        "action_tuples": tuple(tuple_paths(space, ENV_ACTION)),
    }


def graph_contract(
    graph: PolicyGraphModule,
    spaces: ModuleSpaces,
    weights: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    initial: Mapping[str, Array],
    *,
    explores: bool,
    largest_error: float,
) -> PolicyGraph:
    """Returns the inputs and outputs of the graph.

    Args:
        weights: the module's weights that are inputs of the graph.
        outputs: outputs of the graph, with some rows.
        initial: the initial states of a recurrent module, by weight name.
        largest_error: difference from the module on random inputs.
    """
    recorded = {name: column for name, column in _RECORDED.items() if name in outputs}
    paths = list(leaf_spaces(spaces.action, ""))
    recorded |= {f"{ACTION}{path}": f"{ACTIONS}{path}" for path in paths}
    env_actions = {
        path: _output_tensor(name, outputs[name])
        for path, name in ((path, f"{ENV_ACTION}{path}") for path in paths)
    }
    recorded |= {name: name for name in graph.recorded_state}
    tensors = {name: (_dtype_name(t), tuple(t.shape)) for name, t in weights.items()}
    tensors |= {name: (array.dtype.name, array.shape) for name, array in initial.items()}
    return PolicyGraph(
        observations=tuple(
            tensor_of(path, leaf)
            for path, leaf in leaf_spaces(spaces.observation, OBSERVATIONS).items()
        ),
        states=tuple(
            TensorSpec(name, "float32", shape) for name, shape in graph.state_shapes.items()
        ),
        takes_reward=graph.needs_reward,
        noise_size=graph.head.noise_size,
        weights=tuple(TensorSpec(name, *tensor) for name, tensor in tensors.items()),
        scalars={EXPLORE: float(explores)},
        recorded={**recorded, **_recorded_observations(outputs)},
        **nested_env_actions(spaces.action, env_actions),
        max_error=largest_error,
        action_range=graph.head.action_range,
        action_start=graph.head.action_start,
        observation_ranges=index_ranges(spaces.observation) or UNSET,
    )


def lookback_of(graph: PolicyGraphModule, spaces: ModuleSpaces, config: AlgorithmConfig) -> int:
    """Returns the context that the learner's connectors need before a chunk.

    This is a recurrent module's state, the frames of a stack, or what a config asks for beyond
    RLlib's default of one step, which most pipelines do not use.
    """
    asked = int(config.episode_lookback_horizon or 0)
    return max(spaces.frames - 1, int(bool(graph.recorded_state)), asked if asked > 1 else 0)


def _output_column(name: str, rows: Tensor) -> ColumnSpec:
    return ColumnSpec(name, _dtype_name(rows), tuple(rows.shape[1:]))


def _output_tensor(name: str, rows: Tensor) -> TensorSpec:
    return TensorSpec(name, _dtype_name(rows), tuple(rows.shape[1:]))


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
