"""An RLModule as an ONNX graph with its weights as inputs, checked against the module."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
import numpy as np
import onnxruntime
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from headrace.learner.connectors import ModuleSpaces
from headrace.learner.heads import BoxHead, is_value_based, make_head
from headrace.learner.policy_graph import PolicyGraphModule
from headrace.learner.spaces import column_of, leaf_spaces, tensor_of
from headrace.learner.stages import tensors_of
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import ColumnSpec, ModuleManifest, PolicyGraph, TensorSpec
from headrace.protocol.policy_graph import (
    ACTION,
    ACTION_DIST_INPUTS,
    ACTION_LOGP,
    ENV_ACTION,
    EPSILON,
    EXPLORE,
    NOISE,
    RECORDED_OBSERVATION,
    REWARD,
    initial_state,
)
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS, REWARDS, is_column

_CHECKED_ROWS = 16
_LARGEST_ERROR = 1e-3
_SATURATED = 0.99
_RECORDED = {ACTION: ACTIONS, ACTION_LOGP: ACTION_LOGP, ACTION_DIST_INPUTS: ACTION_DIST_INPUTS}

Arguments = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]
"""Observations, state, weights and the rest, as `PolicyGraphModule.compute` takes them."""


@dataclass(frozen=True)
class ExportedModule:
    """One module as actors get it.

    Attributes:
        parameters: names of the module's parameters and buffers that the graph takes in.
        initial_state: what comes beside them with each version and never changes.
    """

    graph: bytes
    manifest: ModuleManifest
    parameters: tuple[str, ...]
    initial_state: Mapping[str, Array]


def export_module(
    module: TorchRLModule, spaces: ModuleSpaces, config: AlgorithmConfig
) -> ExportedModule:
    """Returns the policy graph of a module, and what actors record for it. Takes 1 to 3 s.

    The result depends on the module's architecture alone, not on its present weights, so that all
    runners of a learner export the same.

    Raises:
        ConfigError: the module or its action distribution cannot be exported, or the graph does
            not compute what the module does.
    """
    random = torch.Generator().manual_seed(0)
    module = copy.deepcopy(module)
    module.eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.1, 0.1, generator=random)
    head = make_head(
        module,
        spaces.action,
        normalizes=bool(config.normalize_actions),
        clips=bool(config.clip_actions),
    )
    graph = PolicyGraphModule(module, spaces, head)
    arguments = _sample_arguments(graph, module, spaces, random)
    with torch.no_grad():
        graph.output_names = list(graph.compute(*arguments))
    frame, inputs = _to_onnx(graph, arguments)
    outputs = _expect(graph, module, arguments)
    largest_error = _compare(frame, graph, arguments, outputs)
    # Once more with other weights: a parameter that went into the graph as a constant shows now.
    observations, state, weights, others = arguments
    weights = {name: tensor for name, tensor in weights.items() if name in inputs}
    other_weights = {name: _perturb(tensor) for name, tensor in weights.items()}
    moved = (observations, state, other_weights, {**others, EXPLORE: torch.zeros(1)})
    with torch.no_grad():
        _compare(frame, graph, moved, graph.compute(*moved))
    initial = {initial_state(name): value.numpy() for name, value in graph.initial_state.items()}
    contract = _contract(
        graph,
        spaces,
        weights,
        outputs,
        initial,
        explores=bool(config.explore),
        largest_error=largest_error,
    )
    lookback = _lookback(graph, spaces, config)
    columns = _columns(graph, spaces, outputs)
    parameters = tuple(name for name in weights if name in graph.parameters_by_name)
    return ExportedModule(frame, ModuleManifest(columns, contract, lookback), parameters, initial)


# ---------------------------------------------------------------- inputs


def _sample_arguments(
    graph: PolicyGraphModule, module: TorchRLModule, spaces: ModuleSpaces, random: torch.Generator
) -> Arguments:
    """Returns random inputs."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    rows = _CHECKED_ROWS
    observations = _sample_observations(spaces.observation, rows)
    state = {name: uniform(rows, *shape) for name, shape in graph.state_shapes.items()}
    stages = {name: uniform(*shape) + 0.5 for name, shape in tensors_of(spaces.stages).items()}
    # Values and not distributions: only the greedy action can be compared.
    greedy = is_value_based(module)
    others = {NOISE: uniform(rows, graph.head.noise_size), EXPLORE: torch.tensor([1.0 - greedy])}
    if graph.needs_reward:
        others[REWARD] = uniform(rows)
    epsilon = {EPSILON: torch.tensor([0.5])} if greedy else {}
    return observations, state, {**graph.parameters_by_name, **stages, **epsilon}, others


def _sample_observations(space: gym.Space[Any], rows: int) -> dict[str, Tensor]:
    sampled: dict[str, Tensor] = {}
    for path, leaf in leaf_spaces(copy.deepcopy(space), OBSERVATIONS).items():
        leaf.seed(0)
        samples = [np.asarray(leaf.sample(), leaf.dtype) for _ in range(rows)]
        sampled[path] = torch.as_tensor(np.stack(samples))
    return sampled


def _perturb(tensor: Tensor) -> Tensor:
    return tensor * 1.25 + 0.01 if tensor.is_floating_point() else tensor


# ---------------------------------------------------------------- the graph and its check


def _to_onnx(graph: PolicyGraphModule, arguments: Arguments) -> tuple[bytes, list[str]]:
    """Returns the ONNX bytes, and the names of the inputs that the outputs depend on.

    A critic's parameters are not among them.
    """
    observations, state, weights, others = arguments
    rows = torch.export.Dim("rows", min=1, max=2**20)
    batched = {0: rows}
    with _quiet():
        program = torch.onnx.export(
            graph,
            (*arguments, {}),  # torch takes a last map for keyword arguments
            input_names=[*observations, *state, *weights, *others],
            output_names=graph.output_names,
            dynamic_shapes=(
                dict.fromkeys(observations, batched),
                dict.fromkeys(state, batched),
                {name: {} for name in weights},
                {name: {} if name == EXPLORE else batched for name in others},
            ),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ConfigError("torch could not export the policy graph")
    inputs = program.model.graph.inputs
    unused = [value for value in inputs if not value.uses()]
    for value in unused:
        inputs.remove(value)
    _forget_origin(program.model.graph)
    frame = bytes(program.model_proto.SerializeToString(deterministic=True))
    return frame, [str(value.name) for value in inputs]


def _forget_origin(graph: Any) -> None:
    """Leaves out what the exporter notes of Python files: it differs, and is nobody's business."""
    for entry in (graph, *graph, *graph.inputs, *graph.outputs, *graph.initializers.values()):
        entry.metadata_props.clear()
        entry.doc_string = None
    for node in graph:
        for value in node.outputs:
            value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Any:
    """Keeps the exporter's progress and its warnings about itself off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _expect(
    graph: PolicyGraphModule, module: TorchRLModule, arguments: Arguments
) -> dict[str, Tensor]:
    """Returns what the graph should give; what can be RLlib's own is."""
    observations, state, weights, others = arguments
    with torch.no_grad():
        expected = graph.compute(*arguments)
        seen = graph.see(observations, state, weights, others.get(REWARD, torch.zeros(0)))[-1]
        batch = graph.module_batch(seen, state)
        if is_value_based(module):
            actions = module.forward_inference(batch)[Columns.ACTIONS]
            expected[ACTION] = expected[ENV_ACTION] = actions.reshape(expected[ACTION].shape)
            return expected
        inputs = module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS]
        inputs = inputs.reshape(expected[ACTION_DIST_INPUTS].shape)
        expected[ACTION_DIST_INPUTS] = inputs
        distribution = module.get_exploration_action_dist_cls().from_logits(inputs)
        logp = cast("Tensor", distribution.logp(expected[ACTION]))
        if isinstance(graph.head, BoxHead) and graph.head.squashes:
            # RLlib inverts the tanh of a given action, which loses it close to the bounds.
            is_inside = (expected[ACTION].abs() < _SATURATED).flatten(1).all(-1)
            logp = torch.where(is_inside, logp, expected[ACTION_LOGP])
        expected[ACTION_LOGP] = logp
    return expected


def _compare(
    frame: bytes,
    graph: PolicyGraphModule,
    arguments: Arguments,
    expected: Mapping[str, Tensor],
) -> float:
    """Returns the largest difference between graph and module, to the next power of ten."""
    session = onnxruntime.InferenceSession(frame, providers=["CPUExecutionProvider"])
    feed = {name: tensor for group in arguments for name, tensor in group.items()}
    inputs = {entry.name for entry in session.get_inputs()}
    values = session.run(
        graph.output_names,
        {name: tensor.detach().numpy() for name, tensor in feed.items() if name in inputs},
    )
    largest = 1e-7
    for name, value in zip(graph.output_names, values, strict=True):
        reference = expected[name].detach().numpy()
        difference = float(np.abs(value - reference).max(initial=0.0))
        scale = max(1.0, float(np.abs(reference).max(initial=0.0)))
        if not difference <= _LARGEST_ERROR * scale:
            raise ConfigError(
                f"the exported policy graph differs from the module by {difference} in {name!r}; "
                "does the module use randomness of its own in forward_exploration?"
            )
        largest = max(largest, difference)
    # Runners on other processors must come to the same manifest.
    return float(f"1e{int(np.ceil(np.log10(largest)))}")


# ---------------------------------------------------------------- the manifest


def _columns(
    graph: PolicyGraphModule, spaces: ModuleSpaces, outputs: Mapping[str, Tensor]
) -> tuple[ColumnSpec, ...]:
    recorded = _recorded_observations(outputs)
    if recorded:
        columns = [_output_column(column, outputs[name]) for name, column in recorded.items()]
    else:
        leaves = leaf_spaces(spaces.observation, OBSERVATIONS)
        columns = [column_of(path, leaf) for path, leaf in leaves.items()]
    columns += [_action_column(outputs[ACTION], spaces.action), ColumnSpec(REWARDS, "float32", ())]
    names = [ACTION_LOGP, ACTION_DIST_INPUTS, *graph.recorded_state]
    columns += [_output_column(name, outputs[name]) for name in names if name in outputs]
    return tuple(columns)


def _recorded_observations(outputs: Mapping[str, Tensor]) -> dict[str, str]:
    return {
        name: OBSERVATIONS + name.removeprefix(RECORDED_OBSERVATION)
        for name in outputs
        if is_column(RECORDED_OBSERVATION, name)
    }


def _action_column(rows: Tensor, space: gym.Space[Any]) -> ColumnSpec:
    column = _output_column(ACTIONS, rows)
    if isinstance(space, gym.spaces.Discrete):
        return ColumnSpec(ACTIONS, column.dtype, column.shape, 0.0, float(int(space.n) - 1))
    if isinstance(space, gym.spaces.MultiDiscrete):
        highest = float(space.nvec.max() - 1)
        return ColumnSpec(ACTIONS, column.dtype, column.shape, 0.0, highest)
    return column


def _contract(
    graph: PolicyGraphModule,
    spaces: ModuleSpaces,
    weights: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    initial: Mapping[str, Array],
    *,
    explores: bool,
    largest_error: float,
) -> PolicyGraph:
    recorded = {name: column for name, column in _RECORDED.items() if name in outputs}
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
        env_action=_output_tensor(ENV_ACTION, outputs[ENV_ACTION]),
        max_error=largest_error,
        action_range=graph.head.action_range,
    )


def _lookback(graph: PolicyGraphModule, spaces: ModuleSpaces, config: AlgorithmConfig) -> int:
    """Returns the context that the learner's connectors need before a chunk.

    A recurrent module's state, the frames of a stack, or what a config asks for beyond RLlib's
    default of one step, which most pipelines have no use for.
    """
    asked = int(config.episode_lookback_horizon or 0)
    return max(spaces.frames - 1, int(bool(graph.recorded_state)), asked if asked > 1 else 0)


def _output_column(name: str, rows: Tensor) -> ColumnSpec:
    return ColumnSpec(name, _dtype_name(rows), tuple(rows.shape[1:]))


def _output_tensor(name: str, rows: Tensor) -> TensorSpec:
    return TensorSpec(name, _dtype_name(rows), tuple(rows.shape[1:]))


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
