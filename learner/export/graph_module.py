"""The policy as one graph: observation, state, noise and weights in, actions and state out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.utils.typing import StateDict
from torch import Tensor, nn

from headrace.learner.export.action_heads import ActionHead, is_value_based
from headrace.learner.export.connectors import ModuleSpaces
from headrace.learner.export.observation_stages import ObservationStage, Tensors
from headrace.learner.spaces import nest_columns, nest_state
from headrace.protocol.paths import flatten_paths
from headrace.protocol.policy_graph import (
    ACTION,
    ACTION_DIST_INPUTS,
    ACTION_LOGP,
    CONNECTOR_STATE,
    ENV_ACTION,
    EPSILON,
    EXPLORE,
    NOISE,
    RECORDED_OBSERVATION,
    REWARD,
    STATE,
    STATE_OUT,
    state_output,
)
from headrace.protocol.trajectory import OBSERVATIONS

_SMALLEST_NOISE = 2.0**-24
"""Noise is kept this far from 0 and 1, so that no logarithm is infinite in float32."""

_Q_PREDS = "qf_preds"


class PolicyGraphModule(nn.Module):
    """The exported computation; parameters of `module` are inputs.

    Attributes:
        state_shapes: shapes of the state between steps, by input name, without the rows.
        initial_state: the initial state where it is not zero.
        recorded_state: outputs with the module's own state, which are recorded.
    """

    def __init__(self, module: TorchRLModule, spaces: ModuleSpaces, head: ActionHead) -> None:
        super().__init__()
        self._module = _Forward(module)
        self._spaces = spaces
        self.head = head
        self.stages = nn.ModuleList(spaces.stages)
        module_state = {
            path: torch.as_tensor(tensor, dtype=torch.float32)
            for path, tensor in flatten_state(module.get_initial_state()).items()
        }
        self._module_paths = list(module_state)
        self.state_shapes = {
            **{f"{STATE}/{path}": tuple(tensor.shape) for path, tensor in module_state.items()},
            **{
                f"{CONNECTOR_STATE}/{name}": shape
                for stage in spaces.stages
                for name, shape in stage.state_shapes.items()
            },
        }
        self.initial_state = {
            f"{STATE}/{path}": value for path, value in module_state.items() if value.any()
        }
        self.recorded_state = [f"{STATE_OUT}/{path}" for path in module_state]
        self.needs_reward = any(stage.needs_reward for stage in spaces.stages)
        self.output_names: list[str] = []

    def forward(
        self, observations: Tensors, state: Tensors, weights: Tensors, others: Tensors
    ) -> tuple[Tensor, ...]:
        """Returns what `compute` does, in the order of `output_names`."""
        return tuple(self.compute(observations, state, weights, others).values())

    def compute(
        self, observations: Tensors, state: Tensors, weights: Tensors, others: Tensors
    ) -> dict[str, Tensor]:
        """Returns the outputs by name.

        Args:
            weights: parameters of the module, tensors of the stages, and epsilon.
            others: noise, explore, and the reward if a stage needs it.
        """
        noise = torch.clamp(others[NOISE], _SMALLEST_NOISE, 1.0 - _SMALLEST_NOISE)
        reward = others.get(REWARD, noise[:, 0])
        values = self.see(observations, state, weights, reward)
        inputs, state_out = self._run_module(values[-1], state, weights)
        explore = others[EXPLORE]
        action, logp = self.head.sample(inputs, noise, explore, weights.get(EPSILON, explore))
        outputs = {ACTION: action, ENV_ACTION: self.head.to_env(action)}
        if logp is not None:
            # RLlib assigns probability 1 to an action that was not sampled.
            outputs |= {ACTION_LOGP: logp * explore, ACTION_DIST_INPUTS: inputs}
        outputs |= self._recorded_observation(values)
        outputs |= {f"{STATE_OUT}/{path}": value for path, value in state_out.items()}
        for stage, value in zip(self._spaces.stages, values, strict=False):
            kept = stage.remember(value, _own(stage, state), reward, action)
            outputs |= {state_output(f"{CONNECTOR_STATE}/{name}"): kept[name] for name in kept}
        return outputs

    def see(
        self, observations: Tensors, state: Tensors, tensors: Tensors, reward: Tensor
    ) -> list[Any]:
        """Returns the observations before each stage, and finally those for the module."""
        singles = {path: _to_single(rows) for path, rows in observations.items()}
        values: list[Any] = [nest_columns(self._spaces.observation, singles)]
        for stage in self._spaces.stages:
            values.append(stage(values[-1], _own(stage, state), tensors, reward))
        return values

    @property
    def parameters_by_name(self) -> dict[str, Tensor]:
        """The module's parameters and buffers."""
        return cast("dict[str, Tensor]", self._module.module.state_dict())

    def module_batch(self, seen: Any, state: Tensors) -> dict[str, Any]:
        """Returns observations and state as input of the module's public methods."""
        return self._module.batch(seen, self._module_state(state))

    def _module_state(self, state: Tensors) -> Tensors:
        return {path: state[f"{STATE}/{path}"] for path in self._module_paths}

    def _run_module(self, seen: Any, state: Tensors, weights: Tensors) -> tuple[Tensor, Tensors]:
        parameters = {
            f"module.{name}": value
            for name, value in weights.items()
            if name in self._module.parameter_names
        }
        arguments = (seen, self._module_state(state))
        outputs = torch.func.functional_call(self._module, parameters, arguments)
        return cast("tuple[Tensor, Tensors]", outputs)

    def _recorded_observation(self, values: list[Any]) -> dict[str, Tensor]:
        """Returns the last recorded stage's output, if there is such a stage."""
        recorded = sum(stage.is_recorded for stage in self._spaces.stages)
        if not recorded:
            return {}
        leaves = flatten_paths(values[recorded], OBSERVATIONS)
        return {
            RECORDED_OBSERVATION + path.removeprefix(OBSERVATIONS): leaf
            for path, leaf in leaves.items()
        }


def _own(stage: ObservationStage, state: Tensors) -> Tensors:
    return {name: state[f"{CONNECTOR_STATE}/{name}"] for name in stage.state_shapes}


class _Forward(nn.Module):
    """The module's exploration pass as a plain function of observations and state."""

    def __init__(self, module: TorchRLModule) -> None:
        super().__init__()
        self.module = module
        self.parameter_names = set(module.state_dict())
        self._is_value_based = is_value_based(module)

    def forward(self, observations: Any, state: Tensors) -> tuple[Tensor, Tensors]:
        """Returns values or distribution inputs [n, …], and the state after the step."""
        inputs, outputs = self._act(self.batch(observations, state))
        if not state:
            return inputs, {}
        return inputs.squeeze(1), flatten_state(outputs[Columns.STATE_OUT])

    def batch(self, observations: Any, state: Tensors) -> dict[str, Any]:
        """Returns observations as input of the module; a recurrent one needs a time axis."""
        if not state:
            return {Columns.OBS: observations}
        timed = {path: rows.unsqueeze(1) for path, rows in flatten_paths(observations, "").items()}
        return {Columns.OBS: renest(observations, timed), Columns.STATE_IN: nest_state(state)}

    def _act(self, batch: dict[str, Any]) -> tuple[Tensor, StateDict]:
        module: Any = self.module
        if self._is_value_based:
            outputs = module.compute_q_values(batch)
            return cast("Tensor", outputs[_Q_PREDS]), outputs
        # The public method switches to eval mode and back, which the exporter cannot trace.
        outputs = module._forward_exploration(batch)  # pyright: ignore[reportPrivateUsage]
        return cast("Tensor", outputs[Columns.ACTION_DIST_INPUTS]), outputs


def flatten_state(state: Any) -> dict[str, Any]:
    """Returns the leaves of a module's state by path; an empty state has none."""
    if isinstance(state, Mapping) and not state:
        return {}
    leaves = flatten_paths(state, "")
    return {path.removeprefix("/"): leaf for path, leaf in leaves.items()}


def renest(structure: Any, leaves: Mapping[str, Any], path: str = "") -> Any:
    """Returns leaves by path in the shape of a nested structure."""
    if isinstance(structure, Mapping):
        return {key: renest(value, leaves, f"{path}/{key}") for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(renest(v, leaves, f"{path}/{i}") for i, v in enumerate(structure))
    return leaves[path]


def _to_single(values: Tensor) -> Tensor:
    """Casts floats to single precision and keeps integers, as RLlib's NumpyToTensor does."""
    return values.to(torch.float32) if values.is_floating_point() else values
