"""Exports an RLModule as an ONNX graph with weights as inputs, checked against the module."""

from __future__ import annotations

import copy

import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.learner.export.connectors import ModuleSpaces
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.export.graph_check import (
    compare,
    expected_greedy,
    expected_outputs,
    perturb,
    sample_arguments,
)
from headrace.learner.export.graph_contract import graph_contract, lookback_of, recorded_columns
from headrace.learner.export.graph_module import PolicyGraphModule
from headrace.learner.export.nested_head import make_heads
from headrace.learner.export.onnx_export import Arguments, to_onnx
from headrace.learner.spaces import leaf_spaces
from headrace.protocol.errors import ConfigError, HeadraceError, first_line
from headrace.protocol.manifest import ModuleManifest
from headrace.protocol.policy_graph import (
    EXPLORE,
    initial_state,
)


def require_exportable(
    module: TorchRLModule, spaces: ModuleSpaces, config: AlgorithmConfig
) -> None:
    """Runs a module once, as its graph will.

    Raises:
        ConfigError: its actions cannot be sampled in a graph, or it fails on its observations.
    """
    _graph_of(_acting_copy(module), spaces, config, torch.Generator().manual_seed(0))


def _acting_copy(module: TorchRLModule) -> TorchRLModule:
    """Returns a copy without dropout or statistics of batches, which would also change."""
    acting = copy.deepcopy(module)
    acting.eval()
    return acting


def _graph_of(
    module: TorchRLModule, spaces: ModuleSpaces, config: AlgorithmConfig, random: torch.Generator
) -> tuple[PolicyGraphModule, Arguments]:
    head = make_heads(
        module,
        spaces.action,
        normalizes=bool(config.normalize_actions),
        clips=bool(config.clip_actions),
    )
    graph = PolicyGraphModule(module, spaces, head)
    try:
        arguments = sample_arguments(graph, module, spaces, random)
        with torch.no_grad():
            graph.output_names = list(graph.compute(*arguments))
    except HeadraceError:
        raise
    except Exception as error:  # the user's own modules may raise anything
        raise ConfigError(
            f"the RLModule fails on {spaces.module_observation}: {first_line(error)}"
            f"{_advice(spaces)}"
        ) from error
    return graph, arguments


def _advice(spaces: ModuleSpaces) -> str:
    dtypes = {leaf.dtype for leaf in leaf_spaces(spaces.module_observation, "").values()}
    if all(dtype is not None and dtype.kind == "f" for dtype in dtypes):
        return ""
    return (
        "; RLlib's default networks take float32: convert the observations in the environment (for "
        "pixels gymnasium.wrappers.TransformObservation, divided by 255), or in an RLModule of "
        "your own"
    )


def export_module(
    module: TorchRLModule, spaces: ModuleSpaces, config: AlgorithmConfig
) -> ExportedModule:
    """Returns the policy graph of a module, and the columns that actors record. Takes 1 to 3 s.

    The result depends on the module's architecture alone, not on its current weights, so that all
    runners of a learner export the same graph.

    Raises:
        ConfigError: the module or its action distribution cannot be exported, or the graph does
            not compute the same as the module.
    """
    random = torch.Generator().manual_seed(0)
    module = _acting_copy(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.1, 0.1, generator=random)
    graph, arguments = _graph_of(module, spaces, config, random)
    frame, inputs = to_onnx(graph, arguments)
    outputs = expected_outputs(graph, module, arguments)
    observations, state, weights, others = arguments
    greedy = (observations, state, weights, {**others, EXPLORE: torch.zeros(1)})
    largest_error = max(
        compare(frame, graph, arguments, outputs),
        compare(frame, graph, greedy, expected_greedy(graph, module, greedy)),
    )
    # Again with other weights, which reveals a parameter that became a constant of the graph.
    weights = {name: tensor for name, tensor in weights.items() if name in inputs}
    other_weights = {name: perturb(tensor) for name, tensor in weights.items()}
    moved = (observations, state, other_weights, {**others, EXPLORE: torch.zeros(1)})
    with torch.no_grad():
        compare(frame, graph, moved, graph.compute(*moved))
    initial = {initial_state(name): value.numpy() for name, value in graph.initial_state.items()}
    contract = graph_contract(
        graph,
        spaces,
        weights,
        outputs,
        initial,
        explores=bool(config.explore),
        largest_error=largest_error,
    )
    lookback = lookback_of(graph, spaces, config)
    columns = recorded_columns(graph, spaces, outputs)
    parameters = tuple(name for name in weights if name in graph.parameters_by_name)
    return ExportedModule(frame, ModuleManifest(columns, contract, lookback), parameters, initial)
