"""Compares an exported graph with its module on random inputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
import onnxruntime
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from headrace.learner.export.action_heads import is_value_based
from headrace.learner.export.connectors import ModuleSpaces
from headrace.learner.export.graph_module import PolicyGraphModule
from headrace.learner.export.observation_stages import tensors_of
from headrace.learner.export.onnx_export import Arguments
from headrace.learner.spaces import leaf_spaces, nest_columns
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.limits import MIB
from headrace.protocol.paths import flatten_paths
from headrace.protocol.policy_graph import (
    ACTION,
    ACTION_DIST_INPUTS,
    ACTION_LOGP,
    ENV_ACTION,
    EPSILON,
    EXPLORE,
    NOISE,
    REWARD,
)
from headrace.protocol.trajectory import OBSERVATIONS, is_column

_CHECKED_ROWS = 16
_DRAWN_ROWS = 128
"""More than are checked: rows in which every action is masked are left out."""

_DRAWN_BYTES = 64 * MIB
"""Rows of large pictures are fewer: a module converts all of them at once."""

_LARGEST_ERROR = 1e-3
_LARGEST_SCALE = 1e6
"""Larger outputs stand for masked actions, and must not widen the tolerance of others."""

_SATURATED = 0.99


def sample_arguments(
    graph: PolicyGraphModule, module: TorchRLModule, spaces: ModuleSpaces, random: torch.Generator
) -> Arguments:
    """Returns random inputs, with rows in which at least one action is possible.

    Raises:
        ConfigError: the module masks all actions in all rows.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    rows = _drawn_rows(spaces.observation)
    observations = _sample_observations(spaces.observation, rows)
    state = {name: uniform(rows, *shape) for name, shape in graph.state_shapes.items()}
    stages = {name: uniform(*shape) + 0.5 for name, shape in tensors_of(spaces.stages).items()}
    # With values instead of distributions, only the greedy action can be compared.
    greedy = is_value_based(module)
    by_row = {NOISE: uniform(rows, graph.head.noise_size)}
    if graph.needs_reward:
        by_row[REWARD] = uniform(rows)
    epsilon = {EPSILON: torch.tensor([0.5])} if greedy else {}
    weights = {**graph.parameters_by_name, **stages, **epsilon}
    with torch.no_grad():
        inputs = graph.head_inputs(observations, state, weights, by_row)
    chosen = torch.nonzero(graph.head.has_action(inputs)).flatten()[:_CHECKED_ROWS]
    if not len(chosen):
        raise ConfigError(
            f"the module masks all actions for each of {rows} observations drawn from "
            f"{spaces.observation}: leave at least one action open where a mask is all zeros"
        )
    others = {**_rows(by_row, chosen), EXPLORE: torch.tensor([1.0 - greedy])}
    return _rows(observations, chosen), _rows(state, chosen), weights, others


def _drawn_rows(space: gym.Space[Any]) -> int:
    leaves = leaf_spaces(space, OBSERVATIONS).values()
    row_bytes = sum(np.dtype(leaf.dtype).itemsize * math.prod(leaf.shape or ()) for leaf in leaves)
    return max(2, min(_DRAWN_ROWS, _DRAWN_BYTES // max(1, row_bytes)))


def _rows(tensors: Mapping[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
    return {name: tensor[chosen] for name, tensor in tensors.items()}


def _sample_observations(space: gym.Space[Any], rows: int) -> dict[str, Tensor]:
    sampled: dict[str, Tensor] = {}
    for path, leaf in leaf_spaces(copy.deepcopy(space), OBSERVATIONS).items():
        leaf.seed(0)
        samples = [np.asarray(leaf.sample(), leaf.dtype) for _ in range(rows)]
        sampled[path] = torch.as_tensor(np.stack(samples))
    return sampled


def perturb(tensor: Tensor) -> Tensor:
    """Returns different values of the same shape; integers stay as they are."""
    return tensor * 1.25 + 0.01 if tensor.is_floating_point() else tensor


def expected_outputs(
    graph: PolicyGraphModule, module: TorchRLModule, arguments: Arguments
) -> dict[str, Tensor]:
    """Returns the outputs that the graph should give, from RLlib's own methods where possible."""
    with torch.no_grad():
        expected = graph.compute(*arguments)
        batch = _module_batch(graph, arguments)
        if is_value_based(module):
            actions = module.forward_inference(batch)[Columns.ACTIONS]
            return {**expected, **_action_outputs(graph, {"": actions}, expected)}
        inputs = module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS]
        inputs = inputs.reshape(expected[ACTION_DIST_INPUTS].shape)
        expected[ACTION_DIST_INPUTS] = inputs
        distribution = module.get_exploration_action_dist_cls().from_logits(inputs)
        taken = {n.removeprefix(ACTION): v for n, v in expected.items() if is_column(ACTION, n)}
        logp = cast("Tensor", distribution.logp(nest_columns(graph.action_space, taken, "")))
        if graph.head.squashes:
            # RLlib inverts the tanh of a given action, which loses precision near the bounds.
            is_inside = (expected[ACTION].abs() < _SATURATED).flatten(1).all(-1)
            logp = torch.where(is_inside, logp, expected[ACTION_LOGP])
        expected[ACTION_LOGP] = logp
    return expected


def expected_greedy(
    graph: PolicyGraphModule, module: TorchRLModule, arguments: Arguments
) -> dict[str, Tensor]:
    """Returns the outputs without exploration: the actions of RLlib's inference."""
    with torch.no_grad():
        expected = graph.compute(*arguments)
        outputs = module.forward_inference(_module_batch(graph, arguments))
        if Columns.ACTIONS in outputs:
            actions = outputs[Columns.ACTIONS]
        elif graph.head.squashes:
            # RLlib's deterministic distribution forgets to squash the mean.
            actions = expected[ACTION]
        else:
            inputs = outputs[Columns.ACTION_DIST_INPUTS]
            distribution: Any = module.get_inference_action_dist_cls().from_logits(inputs)
            actions = distribution.to_deterministic().sample()
        return {**expected, **_action_outputs(graph, flatten_paths(actions, ""), expected)}


def _action_outputs(
    graph: PolicyGraphModule, actions: Mapping[str, Tensor], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns the outputs for actions by path, in the shapes and dtypes of others."""
    shaped = {
        path: action.reshape(like[f"{ACTION}{path}"].shape).to(like[f"{ACTION}{path}"].dtype)
        for path, action in actions.items()
    }
    in_env = graph.head.to_env(shaped)
    return {
        **{f"{ACTION}{path}": action for path, action in shaped.items()},
        **{f"{ENV_ACTION}{path}": action for path, action in in_env.items()},
    }


def _module_batch(graph: PolicyGraphModule, arguments: Arguments) -> dict[str, Any]:
    """Returns the graph's inputs as the module's public methods take them."""
    observations, state, weights, others = arguments
    seen = graph.see(observations, state, weights, others.get(REWARD, torch.zeros(0)))[-1]
    return graph.module_batch(seen, state)


def compare(
    frame: bytes,
    graph: PolicyGraphModule,
    arguments: Arguments,
    expected: Mapping[str, Tensor],
) -> float:
    """Returns the largest difference between graph and module, up to the next power of ten.

    Raises:
        ConfigError: it is too large.
    """
    session = onnxruntime.InferenceSession(frame, providers=["CPUExecutionProvider"])
    feed = {name: tensor for group in arguments for name, tensor in group.items()}
    inputs = {entry.name for entry in session.get_inputs()}
    values = session.run(
        graph.output_names,
        {name: tensor.detach().numpy() for name, tensor in feed.items() if name in inputs},
    )
    largest = 1e-7
    for name, value in zip(graph.output_names, values, strict=True):
        difference = _largest_difference(np.asarray(value), expected[name].detach().numpy())
        if not difference <= _LARGEST_ERROR:
            raise ConfigError(
                f"the exported policy graph differs from the module by {difference} in {name!r}; "
                "does the module use its own randomness? Then run RLlib itself on the actors: "
                'policy = "rllib"'
            )
        largest = max(largest, difference)
    # Runners on other processors must arrive at the same manifest.
    return float(f"1e{int(np.ceil(np.log10(largest)))}")


def _largest_difference(values: Array, references: Array) -> float:
    """Returns the largest difference, relative to the outputs' size; equal infinities are equal."""
    found, wanted = values.astype(np.float64), references.astype(np.float64)
    sizes = np.abs(wanted)
    common = max(1.0, float(sizes.max(initial=0.0, where=sizes < _LARGEST_SCALE)))
    with np.errstate(invalid="ignore"):
        differences = np.abs(found - wanted) / np.maximum(sizes, common)
    return float(np.where(found == wanted, 0.0, differences).max(initial=0.0))
