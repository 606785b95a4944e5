"""A module's exploration and inference passes as functions of observations and state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from headrace.learner.export.action_heads import is_value_based, plain_distribution
from headrace.learner.export.nested_head import Leaves, NestedHead
from headrace.learner.export.observation_stages import Tensors
from headrace.learner.spaces import nest_state
from headrace.protocol.errors import ConfigError
from headrace.protocol.paths import flatten_paths

_Q_PREDS = "qf_preds"
_PASSES = (
    "_forward_inference",
    "_forward_exploration",
    "get_inference_action_dist_cls",
    "get_exploration_action_dist_cls",
)


class ForwardPass(nn.Module):
    """Base of the passes.

    They call RLlib's private methods: the public ones switch to eval mode and back, which the
    exporter cannot trace.
    """

    def __init__(self, module: TorchRLModule) -> None:
        super().__init__()
        self.module = module
        self.parameter_names = set(module.state_dict())

    def batch(self, observations: Any, state: Tensors) -> dict[str, Any]:
        """Returns observations as input of the module; a recurrent one needs a time axis."""
        if not state:
            return {Columns.OBS: observations}
        timed = {path: rows.unsqueeze(1) for path, rows in flatten_paths(observations, "").items()}
        return {Columns.OBS: renest(observations, timed), Columns.STATE_IN: nest_state(state)}


class ExplorationPass(ForwardPass):
    """The pass that RLlib samples with."""

    def __init__(self, module: TorchRLModule) -> None:
        super().__init__(module)
        self._is_value_based = is_value_based(module)

    def forward(self, observations: Any, state: Tensors) -> tuple[Tensor, Tensors]:
        """Returns values or distribution inputs [n, …], and the state after the step.

        Raises:
            ConfigError: the module returns neither.
        """
        module: Any = self.module
        batch = self.batch(observations, state)
        if self._is_value_based:
            outputs, name = module.compute_q_values(batch), _Q_PREDS
        else:
            outputs, name = module._forward_exploration(batch), Columns.ACTION_DIST_INPUTS
        if name not in outputs:
            raise ConfigError(
                f"_forward_exploration of {type(module).__name__} returns "
                f"{sorted(map(str, outputs))} without {name!r}, from which actors draw actions; "
                'return it, or run RLlib itself on the actors: policy = "rllib"'
            )
        return _untimed(outputs[name], outputs, state)


class InferencePass(ForwardPass):
    """The pass that RLlib acts with where it does not explore."""

    def __init__(self, module: TorchRLModule, head: NestedHead) -> None:
        super().__init__(module)
        self._head = head

    def forward(self, observations: Any, state: Tensors, noise: Tensor) -> tuple[Leaves, Tensors]:
        """Returns actions [n, …] by path, and the state after the step.

        Raises:
            ConfigError: the module returns neither actions nor the head's distribution inputs.
        """
        module: Any = self.module
        outputs = module._forward_inference(self.batch(observations, state))
        if Columns.ACTIONS in outputs:
            actions = flatten_paths(outputs[Columns.ACTIONS], "")
            untimed = {path: _untimed(a, outputs, state)[0] for path, a in actions.items()}
            return untimed, _state_after(outputs, state)
        ours, explores = (
            plain_distribution(cls)
            for cls in (
                module.get_inference_action_dist_cls(),
                module.get_exploration_action_dist_cls(),
            )
        )
        if Columns.ACTION_DIST_INPUTS not in outputs or ours is not explores:
            raise ConfigError(
                f"_forward_inference of {type(module).__name__} returns neither "
                f"{Columns.ACTIONS!r} nor {Columns.ACTION_DIST_INPUTS!r} of the distribution that "
                "it explores with; return actions, or run RLlib itself on the actors: "
                'policy = "rllib"'
            )
        inputs, state_out = _untimed(outputs[Columns.ACTION_DIST_INPUTS], outputs, state)
        none = noise[0, :1] * 0.0
        return self._head.sample(inputs, noise, none, none)[0], state_out


def has_own_passes(module: TorchRLModule) -> bool:
    """Returns whether a module's inference may differ from its most likely explored action.

    In RLlib's own modules it does not.
    """
    return any(not _is_rllibs(type(module), name) for name in _PASSES)


def _is_rllibs(kind: type, name: str) -> bool:
    definer = next((base for base in kind.__mro__ if name in base.__dict__), kind)
    where = definer.__module__
    return where.startswith("ray.rllib.") and not where.startswith("ray.rllib.examples.")


def _untimed(values: Tensor, outputs: Mapping[str, Any], state: Tensors) -> tuple[Tensor, Tensors]:
    """Returns values without a recurrent module's time axis, and its state after the step."""
    return values.squeeze(1) if state else values, _state_after(outputs, state)


def _state_after(outputs: Mapping[str, Any], state: Tensors) -> Tensors:
    return flatten_state(outputs[Columns.STATE_OUT]) if state else {}


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
