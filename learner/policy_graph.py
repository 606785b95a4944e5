"""The policy as one differentiable-free graph: observation, noise and weights in, actions out."""

from __future__ import annotations

import abc
import math
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDiagGaussian,
)
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from headrace.learner.connectors import ModuleSpaces
from headrace.learner.spaces import leaf_spaces, nest_observations
from headrace.protocol.errors import ConfigError
from headrace.protocol.policy_graph import (
    ACTION,
    ACTION_DIST_INPUTS,
    ACTION_LOGP,
    ENV_ACTION,
    RECORDED_OBSERVATION,
)
from headrace.protocol.trajectory import OBSERVATIONS

_SMALLEST_NOISE = 2.0**-24
"""Noise is kept this far from 0 and 1, so that no logarithm is infinite in float32."""


class ActionHead(nn.Module, abc.ABC):
    """Turns a distribution's inputs and uniform noise into an action and its log-probability."""

    noise_size: int

    @abc.abstractmethod
    def sample(self, inputs: Tensor, noise: Tensor, explore: Tensor) -> tuple[Tensor, Tensor]:
        """Returns actions and their log-probabilities; explore 0 gives the most likely ones."""

    @abc.abstractmethod
    def to_env(self, action: Tensor) -> Tensor:
        """Returns actions as the simulator expects them."""


class CategoricalHead(ActionHead):
    """Gumbel-max sampling (Gumbel 1954; Maddison, Tarlow and Minka 2014, section 2)."""

    def __init__(self, space: gym.spaces.Discrete[Any]) -> None:
        super().__init__()
        self.noise_size = int(space.n)

    def sample(self, inputs: Tensor, noise: Tensor, explore: Tensor) -> tuple[Tensor, Tensor]:
        """Returns indices; log-probabilities are those of the softmax of `inputs`."""
        gumbel = -torch.log(-torch.log(noise))
        action = torch.argmax(inputs + explore * gumbel, dim=-1)
        log_probabilities = torch.log_softmax(inputs, dim=-1)
        return action, log_probabilities.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def to_env(self, action: Tensor) -> Tensor:
        """Returns the index itself, as RLlib does."""
        return action.clone()


class DiagonalGaussianHead(ActionHead):
    """Box-Muller sampling (Box and Muller 1958): two uniform numbers per normal one."""

    def __init__(self, space: gym.spaces.Box, *, normalizes: bool, clips: bool) -> None:
        super().__init__()
        self._size = math.prod(space.shape)
        self._shape = tuple(space.shape)
        self.noise_size = 2 * self._size
        is_bounded = bool(space.bounded_below.all() and space.bounded_above.all())
        self._unsquashes = normalizes and is_bounded
        self._clips = self._unsquashes or (clips and not normalizes)
        self.register_buffer("low", torch.as_tensor(space.low, dtype=torch.float32))
        self.register_buffer("high", torch.as_tensor(space.high, dtype=torch.float32))

    def sample(self, inputs: Tensor, noise: Tensor, explore: Tensor) -> tuple[Tensor, Tensor]:
        """Returns actions around the means, and the sum of their log-densities."""
        mean, log_std = inputs.chunk(2, dim=-1)
        radius, angle = noise.chunk(2, dim=-1)
        normal = torch.sqrt(-2.0 * torch.log(radius)) * torch.cos(2.0 * math.pi * angle)
        action = mean + explore * torch.exp(log_std) * normal
        deviation = (action - mean) / torch.exp(log_std)
        density = -0.5 * deviation**2 - log_std - 0.5 * math.log(2.0 * math.pi)
        return action.reshape(-1, *self._shape), density.sum(-1)

    def to_env(self, action: Tensor) -> Tensor:
        """Returns the action unsquashed and clipped, as RLlib's NormalizeAndClipActions does."""
        low, high = cast("Tensor", self.low), cast("Tensor", self.high)
        if self._unsquashes:
            action = low + (action + 1.0) * (high - low) / 2.0
        return torch.clamp(action, low, high) if self._clips else action.clone()


def make_head(
    module: TorchRLModule, space: gym.Space[Any], *, normalizes: bool, clips: bool
) -> ActionHead:
    """Returns the head that samples as the module's exploration distribution does.

    Raises:
        ConfigError: no head samples that distribution over that space.
    """
    distribution = module.get_exploration_action_dist_cls()
    distribution = getattr(distribution, "func", distribution)  # a functools.partial of RLlib's
    if distribution is TorchCategorical and isinstance(space, gym.spaces.Discrete):
        return CategoricalHead(space)
    if distribution is TorchDiagGaussian and isinstance(space, gym.spaces.Box):
        return DiagonalGaussianHead(space, normalizes=normalizes, clips=clips)
    raise ConfigError(
        f"actions of {space} drawn from {distribution.__name__} cannot be exported to a policy "
        "graph; supported are Discrete (categorical) and Box (diagonal Gaussian)"
    )


class PolicyGraphModule(nn.Module):
    """The exported computation; parameters of `module` come in as inputs."""

    def __init__(self, module: TorchRLModule, spaces: ModuleSpaces, head: ActionHead) -> None:
        super().__init__()
        self._module = _Forward(module)
        self._spaces = spaces
        self.head = head

    def forward(
        self,
        observations: dict[str, Tensor],
        weights: dict[str, Tensor],
        noise: Tensor,
        explore: Tensor,
    ) -> tuple[Tensor, ...]:
        """Returns what `output_names` lists, in that order."""
        seen = self.see(observations)
        inputs = cast(
            "Tensor",
            torch.func.functional_call(
                self._module, {f"module.{name}": value for name, value in weights.items()}, (seen,)
            ),
        )
        safe_noise = torch.clamp(noise, _SMALLEST_NOISE, 1.0 - _SMALLEST_NOISE)
        action, logp = self.head.sample(inputs, safe_noise, explore)
        outputs = (action, self.head.to_env(action), logp, inputs)
        return (*outputs, seen) if self._spaces.flattens else outputs

    @property
    def output_names(self) -> list[str]:
        """The outputs in the order in which `forward` returns them."""
        names = [ACTION, ENV_ACTION, ACTION_LOGP, ACTION_DIST_INPUTS]
        return [*names, RECORDED_OBSERVATION] if self._spaces.flattens else names

    def see(self, observations: dict[str, Tensor]) -> Any:
        """Returns observations as the module sees them."""
        if not self._spaces.flattens:
            singles = {path: _to_single(rows) for path, rows in observations.items()}
            return nest_observations(self._spaces.observation, singles)
        leaves = leaf_spaces(self._spaces.observation, OBSERVATIONS)
        rows = [_flatten_leaf(observations[path], space) for path, space in leaves.items()]
        return torch.cat(rows, dim=-1)


class _Forward(nn.Module):
    """The module's exploration pass as a plain function of observations."""

    def __init__(self, module: TorchRLModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, observations: Any) -> Tensor:
        # The public method switches to eval mode and back, which the exporter cannot trace.
        outputs = self.module._forward_exploration({Columns.OBS: observations})  # pyright: ignore[reportPrivateUsage]
        return cast("Tensor", outputs[Columns.ACTION_DIST_INPUTS])


def _to_single(values: Tensor) -> Tensor:
    """Casts as RLlib's NumpyToTensor does: floats to single precision, integers not at all."""
    return values.to(torch.float32) if values.is_floating_point() else values


def _flatten_leaf(values: Tensor, space: gym.Space[Any]) -> Tensor:
    """Flattens as RLlib's `flatten_inputs_to_1d_tensor` does: indices become one-hot."""
    if isinstance(space, gym.spaces.Discrete):
        return _one_hot(values, int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        columns = [_one_hot(values[:, i], int(n)) for i, n in enumerate(space.nvec)]
        return torch.cat(columns, dim=-1)
    size = math.prod(cast("tuple[int, ...]", space.shape))
    return values.reshape(-1, size).to(torch.float32)


def _one_hot(values: Tensor, size: int) -> Tensor:
    classes = torch.as_tensor(np.arange(size), dtype=values.dtype)
    return (values.reshape(-1, 1) == classes).to(torch.float32)
