"""An RLModule as an ONNX graph with its weights as inputs, checked against the module."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
import numpy as np
import onnxruntime
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.learner.connectors import ModuleSpaces
from headrace.learner.policy_graph import PolicyGraphModule, make_head
from headrace.learner.spaces import column_of, leaf_spaces, tensor_of
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import ColumnSpec, ModuleManifest, PolicyGraph, TensorSpec
from headrace.protocol.policy_graph import (
    ACTION,
    ACTION_DIST_INPUTS,
    ACTION_LOGP,
    ENV_ACTION,
    EXPLORE,
    NOISE,
    RECORDED_OBSERVATION,
)
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS, REWARDS

_CHECKED_ROWS = 16
_LARGEST_ERROR = 1e-3


@dataclass(frozen=True)
class ExportedModule:
    """One module as actors get it."""

    graph: bytes
    manifest: ModuleManifest


def export_module(
    module: TorchRLModule, spaces: ModuleSpaces, config: AlgorithmConfig
) -> ExportedModule:
    """Returns the policy graph of a module, and what actors record for it. Takes 1 to 3 s.

    Raises:
        ConfigError: the module or its action distribution cannot be exported, or the graph does
            not compute what the module does.
    """
    if module.is_stateful():
        raise ConfigError("recurrent modules cannot be exported to a policy graph yet")
    head = make_head(
        module,
        spaces.action,
        normalizes=bool(config.normalize_actions),
        clips=bool(config.clip_actions),
    )
    was_training = module.training
    module.eval()
    try:
        exported = _export(PolicyGraphModule(module, spaces, head), module, spaces)
    finally:
        module.train(was_training)
    return exported


def actor_weights(module: TorchRLModule, names: list[str]) -> dict[str, Array]:
    """Returns the named parameters as arrays, in the order of `names`."""
    tensors = module.state_dict()
    return {name: np.ascontiguousarray(tensors[name].detach().cpu().numpy()) for name in names}


def _export(
    graph: PolicyGraphModule, module: TorchRLModule, spaces: ModuleSpaces
) -> ExportedModule:
    observations = _sample_observations(spaces.observation, _CHECKED_ROWS)
    tensors = {path: torch.as_tensor(rows) for path, rows in observations.items()}
    noise = torch.rand(_CHECKED_ROWS, graph.head.noise_size)
    weights = {name: module.state_dict()[name] for name in _used_parameters(graph, module, tensors)}
    arguments = (tensors, weights, noise, torch.ones(1))
    frame = _to_onnx(graph, arguments)
    expected = _expect(graph, module, arguments)
    largest_error = _compare(frame, graph, arguments, expected)
    # Once more with other weights: a parameter that went into the graph as a constant shows now.
    other = {name: _perturb(tensor) for name, tensor in weights.items()}
    moved = (tensors, other, noise, torch.ones(1))
    with torch.no_grad():
        expected_after = dict(zip(graph.output_names, graph(*moved), strict=True))
    _compare(frame, graph, moved, expected_after)
    manifest = _manifest(graph, spaces, weights, expected, largest_error)
    return ExportedModule(frame, manifest)


def _sample_observations(space: gym.Space[Any], rows: int) -> dict[str, Array]:
    return {
        path: np.stack([np.asarray(leaf.sample(), leaf.dtype) for _ in range(rows)])
        for path, leaf in leaf_spaces(space, OBSERVATIONS).items()
    }


def _used_parameters(
    graph: PolicyGraphModule, module: TorchRLModule, observations: dict[str, torch.Tensor]
) -> list[str]:
    """Returns the parameters that actions depend on, and all that are no trained parameters.

    A critic's are not among them.
    """
    seen = graph.see(observations)
    outputs = _forward_with_gradients(module, seen)
    named = {name: tensor for name, tensor in module.named_parameters() if tensor.requires_grad}
    gradients = torch.autograd.grad(outputs.sum(), list(named.values()), allow_unused=True)
    used = [name for name, grad in zip(named, gradients, strict=True) if _is_given(grad)]
    return [name for name in module.state_dict() if name in used or name not in named]


def _perturb(tensor: torch.Tensor) -> torch.Tensor:
    return tensor * 1.25 + 0.01 if tensor.is_floating_point() else tensor


def _is_given(gradient: torch.Tensor | None) -> bool:
    """`allow_unused` gives None where torch's annotation says Tensor."""
    return gradient is not None


def _forward_with_gradients(module: TorchRLModule, seen: Any) -> torch.Tensor:
    """RLlib's public forward methods for acting switch gradients off."""
    outputs = module._forward({Columns.OBS: seen})  # pyright: ignore[reportPrivateUsage]
    return cast("torch.Tensor", outputs[Columns.ACTION_DIST_INPUTS])


def _to_onnx(graph: PolicyGraphModule, arguments: tuple[Any, ...]) -> bytes:
    observations, weights, _, _ = arguments
    rows = torch.export.Dim("rows", min=1, max=2**20)
    with _quiet():
        program = torch.onnx.export(
            graph,
            arguments,
            input_names=[*observations, *weights, NOISE, EXPLORE],
            output_names=graph.output_names,
            dynamic_shapes=(
                {path: {0: rows} for path in observations},
                {name: {} for name in weights},
                {0: rows},
                {},
            ),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ConfigError("torch could not export the policy graph")
    return bytes(program.model_proto.SerializeToString())


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
    graph: PolicyGraphModule, module: TorchRLModule, arguments: tuple[Any, ...]
) -> dict[str, torch.Tensor]:
    """Returns what the graph should give; distribution and log-probability are RLlib's own."""
    with torch.no_grad():
        expected = dict(zip(graph.output_names, graph(*arguments), strict=True))
        seen = graph.see(arguments[0])
        inputs = module.forward_exploration({Columns.OBS: seen})[Columns.ACTION_DIST_INPUTS]
        distribution = module.get_exploration_action_dist_cls().from_logits(inputs)
        expected[ACTION_DIST_INPUTS] = inputs
        expected[ACTION_LOGP] = distribution.logp(expected[ACTION])
    return expected


def _compare(
    frame: bytes,
    graph: PolicyGraphModule,
    arguments: tuple[Any, ...],
    expected: dict[str, torch.Tensor],
) -> float:
    """Returns the largest difference between graph and module over a batch of random inputs."""
    session = onnxruntime.InferenceSession(frame, providers=["CPUExecutionProvider"])
    observations, weights, noise, explore = arguments
    feed = {**observations, NOISE: noise, EXPLORE: explore, **weights}
    inputs = {entry.name for entry in session.get_inputs()}
    values = session.run(
        graph.output_names,
        {name: tensor.detach().numpy() for name, tensor in feed.items() if name in inputs},
    )
    largest = 0.0
    for name, value in zip(graph.output_names, values, strict=True):
        reference = expected[name].detach().numpy()
        difference = float(np.abs(value - reference).max(initial=0.0))
        scale = max(1.0, float(np.abs(reference).max(initial=0.0)))
        if difference > _LARGEST_ERROR * scale:
            raise ConfigError(
                f"the exported policy graph differs from the module by {difference} in {name!r}; "
                "does the module use randomness or state of its own in forward_exploration?"
            )
        largest = max(largest, difference)
    return largest


def _manifest(
    graph: PolicyGraphModule,
    spaces: ModuleSpaces,
    weights: dict[str, torch.Tensor],
    outputs: dict[str, torch.Tensor],
    largest_error: float,
) -> ModuleManifest:
    recorded = {
        ACTION: ACTIONS,
        ACTION_LOGP: ACTION_LOGP,
        ACTION_DIST_INPUTS: ACTION_DIST_INPUTS,
    }
    if spaces.flattens:
        recorded[RECORDED_OBSERVATION] = OBSERVATIONS
        observation_columns = [_output_column(OBSERVATIONS, outputs[RECORDED_OBSERVATION])]
    else:
        leaves = leaf_spaces(spaces.observation, OBSERVATIONS)
        observation_columns = [column_of(path, leaf) for path, leaf in leaves.items()]
    action = _output_column(ACTIONS, outputs[ACTION])
    if isinstance(spaces.action, gym.spaces.Discrete):
        action = ColumnSpec(
            ACTIONS, action.dtype, action.shape, 0.0, float(int(spaces.action.n) - 1)
        )
    return ModuleManifest(
        columns=(
            *observation_columns,
            action,
            ColumnSpec(REWARDS, "float32", ()),
            _output_column(ACTION_LOGP, outputs[ACTION_LOGP]),
            _output_column(ACTION_DIST_INPUTS, outputs[ACTION_DIST_INPUTS]),
        ),
        graph=PolicyGraph(
            observations=tuple(
                tensor_of(path, leaf)
                for path, leaf in leaf_spaces(spaces.observation, OBSERVATIONS).items()
            ),
            noise_size=graph.head.noise_size,
            weights=tuple(
                TensorSpec(name, _dtype_name(tensor), tuple(tensor.shape))
                for name, tensor in weights.items()
            ),
            scalars={EXPLORE: 1.0},
            recorded=recorded,
            env_action=_output_tensor(ENV_ACTION, outputs[ENV_ACTION]),
            max_error=largest_error,
        ),
    )


def _output_column(name: str, rows: torch.Tensor) -> ColumnSpec:
    return ColumnSpec(name, _dtype_name(rows), tuple(rows.shape[1:]))


def _output_tensor(name: str, rows: torch.Tensor) -> TensorSpec:
    return TensorSpec(name, _dtype_name(rows), tuple(rows.shape[1:]))


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
