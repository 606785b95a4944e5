"""The policy as one graph: observation, state, noise and weights in, actions and state out."""

from __future__ import annotations

from typing import Any, cast

import torch
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from headrace.learner.export.connectors import ModuleSpaces
from headrace.learner.export.nested_head import NestedHead
from headrace.learner.export.observation_stages import ObservationStage, Tensors
from headrace.learner.export.passes import (
    ExplorationPass,
    ForwardPass,
    InferencePass,
    flatten_state,
    has_own_passes,
)
from headrace.learner.spaces import nest_columns
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


class PolicyGraphModule(nn.Module):
    """The exported computation; parameters of `module` are inputs.

    Attributes:
        state_shapes: shapes of the state between steps, by input name, without the rows.
        initial_state: the initial state where it is not zero.
        action_space: the simulator's.
        recorded_state: outputs with the module's own state, which are recorded.
    """

    def __init__(self, module: TorchRLModule, spaces: ModuleSpaces, head: NestedHead) -> None:
        super().__init__()
        self._module = ExplorationPass(module)
        self._inference = InferencePass(module, head) if has_own_passes(module) else None
        self._spaces = spaces
        self.action_space = spaces.action
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
        actions, logp = self.head.sample(inputs, noise, explore, weights.get(EPSILON, explore))
        if self._inference is not None:
            greedy, greedy_state = self._call(
                self._inference, weights, values[-1], self._module_state(state), noise
            )
            actions = {path: _either(explore, a, greedy[path]) for path, a in actions.items()}
            state_out = {p: _either(explore, v, greedy_state[p]) for p, v in state_out.items()}
        outputs = {f"{ACTION}{path}": action for path, action in actions.items()}
        for path, action in self.head.to_env(actions).items():
            outputs[f"{ENV_ACTION}{path}"] = action
        if logp is not None:
            # RLlib assigns probability 1 to an action that was not sampled.
            outputs |= {ACTION_LOGP: logp * explore, ACTION_DIST_INPUTS: inputs}
        outputs |= self._recorded_observation(values)
        outputs |= {f"{STATE_OUT}/{path}": value for path, value in state_out.items()}
        for stage, value in zip(self._spaces.stages, values, strict=False):
            kept = stage.remember(value, _own(stage, state), reward, actions)
            outputs |= {state_output(f"{CONNECTOR_STATE}/{name}"): kept[name] for name in kept}
        return outputs

    def head_inputs(
        self, observations: Tensors, state: Tensors, weights: Tensors, others: Tensors
    ) -> Tensor:
        """Returns what the module gives the action head."""
        reward = others.get(REWARD, others[NOISE][:, 0])
        seen = self.see(observations, state, weights, reward)[-1]
        return self._run_module(seen, state, weights)[0]

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
        return self._call(self._module, weights, seen, self._module_state(state))

    def _call(self, forward: ForwardPass, weights: Tensors, *inputs: Any) -> tuple[Any, Tensors]:
        parameters = {
            f"module.{name}": value
            for name, value in weights.items()
            if name in forward.parameter_names
        }
        outputs = torch.func.functional_call(forward, parameters, inputs)
        return cast("tuple[Any, Tensors]", outputs)

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


def _either(explore: Tensor, explored: Tensor, greedy: Tensor) -> Tensor:
    return torch.where(explore > 0.0, explored, greedy.to(explored.dtype))


def _own(stage: ObservationStage, state: Tensors) -> Tensors:
    return {name: state[f"{CONNECTOR_STATE}/{name}"] for name in stage.state_shapes}


def _to_single(values: Tensor) -> Tensor:
    """Casts floats to single precision and keeps integers, as RLlib's NumpyToTensor does."""
    return values.to(torch.float32) if values.is_floating_point() else values
