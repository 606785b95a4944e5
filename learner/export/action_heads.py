"""Samples actions from a module's outputs inside the graph, driven by uniform noise."""

from __future__ import annotations

import abc
import math
from functools import partial
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from msgspec import UNSET, UnsetType
from ray.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDiagGaussian,
    TorchMultiCategorical,
    TorchSquashedGaussian,
)
from ray.rllib.core.rl_module.apis import QNetAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.utils.numpy import MAX_LOG_NN_OUTPUT, MIN_LOG_NN_OUTPUT
from torch import Tensor, nn

from headrace.protocol.errors import ConfigError, shortened
from headrace.protocol.manifest import ActionRange

_MASKED = -1e8
"""Logits up to this one stand for masked actions: modules add -1e9, float32's minimum or -inf."""


class ActionHead(nn.Module, abc.ABC):
    """Turns a module's outputs and uniform noise into actions."""

    noise_size: int
    input_size: int
    action_range: ActionRange | UnsetType = UNSET
    """See `PolicyGraph.action_range`."""
    action_start: tuple[int, ...] | UnsetType = UNSET
    """See `PolicyGraph.action_start`."""

    @abc.abstractmethod
    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Returns actions, and their log-probabilities if drawn from a distribution.

        `explore` 0 gives the most likely actions.
        """

    def has_action(self, inputs: Tensor) -> Tensor:
        """Returns for each row whether its inputs leave any action unmasked."""
        return torch.ones(len(inputs), dtype=torch.bool)

    def to_env(self, action: Tensor) -> Tensor:
        """Returns actions as the simulator expects them."""
        return action.clone()


class IndexHead(ActionHead):
    """Base of heads with indices, which count from 0 for RLlib and from `start` for simulators."""

    def __init__(self, start: Any) -> None:
        super().__init__()
        starts = np.asarray(start, np.int64)
        self._shifts = bool(starts.any())
        if self._shifts:
            self.action_start = tuple(starts.ravel().tolist())
        self.register_buffer("start", torch.as_tensor(starts))

    def to_env(self, action: Tensor) -> Tensor:
        """Returns the indices as the simulator counts them."""
        return action + cast("Tensor", self.start) if self._shifts else action.clone()


class CategoricalHead(IndexHead):
    """Gumbel-max sampling (Gumbel 1954; Maddison, Tarlow and Minka 2014, section 2)."""

    def __init__(self, space: gym.spaces.Discrete[Any]) -> None:
        super().__init__(space.start)
        self.noise_size = self.input_size = inputs_of(space)

    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Returns indices; log-probabilities are those of the softmax of `inputs`."""
        action = torch.argmax(inputs + explore * _gumbel(noise), dim=-1)
        return action, _log_probability(inputs, action)

    def has_action(self, inputs: Tensor) -> Tensor:
        """Returns for each row whether a logit is above those that stand for masked actions."""
        return _is_open(inputs)


class MultiCategoricalHead(IndexHead):
    """Several categorical distributions, each over a slice of the inputs."""

    def __init__(self, space: gym.spaces.MultiDiscrete) -> None:
        super().__init__(space.start)
        self._sizes = [int(n) for n in np.ravel(space.nvec)]
        self.noise_size = self.input_size = inputs_of(space)

    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Returns a row of indices; log-probabilities add up over it."""
        scores = inputs + explore * _gumbel(noise)
        split = partial(torch.split, split_size_or_sections=self._sizes, dim=-1)
        slices = zip(split(scores), split(inputs), strict=True)
        actions: list[Tensor] = []
        logps: list[Tensor] = []
        for scored, logits in slices:
            action = torch.argmax(scored, dim=-1)
            actions.append(action)
            logps.append(_log_probability(logits, action))
        return torch.stack(actions, dim=-1), torch.stack(logps, dim=-1).sum(-1)

    def has_action(self, inputs: Tensor) -> Tensor:
        """Returns for each row whether that is so for all distributions."""
        slices = torch.split(inputs, split_size_or_sections=self._sizes, dim=-1)
        return torch.stack([_is_open(logits) for logits in slices], dim=-1).all(-1)


class BoxHead(ActionHead):
    """Base of heads with continuous actions, which may be normalised to [-1, 1]."""

    squashes = False

    def __init__(self, space: gym.spaces.Box, *, normalizes: bool, clips: bool) -> None:
        super().__init__()
        self._shape = tuple(space.shape)
        self.noise_size = self.input_size = inputs_of(space)
        is_bounded = bool(space.bounded_below.all() and space.bounded_above.all())
        self._unsquashes = normalizes and is_bounded
        if self._unsquashes:
            low, high = (np.ravel(bound).tolist() for bound in (space.low, space.high))
            self.action_range = ActionRange(tuple(low), tuple(high))
        self._clips = self._unsquashes or (clips and not normalizes)
        self.register_buffer("low", torch.as_tensor(space.low, dtype=torch.float32))
        self.register_buffer("high", torch.as_tensor(space.high, dtype=torch.float32))

    def to_env(self, action: Tensor) -> Tensor:
        """Returns the action unsquashed and clipped, as RLlib's NormalizeAndClipActions does."""
        low, high = cast("Tensor", self.low), cast("Tensor", self.high)
        if self._unsquashes:
            action = low + (action + 1.0) * (high - low) / 2.0
        return torch.clamp(action, low, high) if self._clips else action.clone()

    def _normal(
        self, mean: Tensor, log_std: Tensor, noise: Tensor, explore: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns normal draws and the logarithms of their densities, by element.

        Box-Muller sampling (Box and Muller 1958): two uniform numbers per normal one.
        """
        radius, angle = noise.chunk(2, dim=-1)
        normal = torch.sqrt(-2.0 * torch.log(radius)) * torch.cos(2.0 * math.pi * angle)
        drawn = mean + explore * torch.exp(log_std) * normal
        deviation = (drawn - mean) / torch.exp(log_std)
        return drawn, -0.5 * deviation**2 - log_std - 0.5 * math.log(2.0 * math.pi)


class DiagonalGaussianHead(BoxHead):
    """Independent normal distributions."""

    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Returns actions around the means, and the sum of their log-densities."""
        mean, log_std = inputs.chunk(2, dim=-1)
        action, density = self._normal(mean, log_std, noise, explore)
        return action.reshape(-1, *self._shape), density.sum(-1)


class SquashedGaussianHead(BoxHead):
    """Normal distributions squashed by tanh to (-1, 1) (Haarnoja et al. 2018, appendix C)."""

    squashes = True

    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Returns squashed actions; the log-density has the correction for the tanh."""
        mean, log_std = inputs.chunk(2, dim=-1)
        log_std = torch.clamp(log_std, MIN_LOG_NN_OUTPUT, MAX_LOG_NN_OUTPUT)
        drawn, density = self._normal(mean, log_std, noise, explore)
        softplus = nn.functional.softplus(-2.0 * drawn)
        density = density - 2.0 * (math.log(2.0) - drawn - softplus)
        return torch.tanh(drawn).reshape(-1, *self._shape), density.sum(-1)


class EpsilonGreedyHead(IndexHead):
    """The action of the highest value or, with probability epsilon, any unmasked one.

    RLlib's DQN treats an action whose value is 0 or minus infinity as masked.
    """

    def __init__(self, space: gym.spaces.Discrete[Any]) -> None:
        super().__init__(space.start)
        self.input_size = inputs_of(space)
        self.noise_size = self.input_size + 1

    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Returns indices of actions, which have no log-probability."""
        coin, draws = noise[:, 0], noise[:, 1:]
        is_open = _is_valued(inputs)
        random = torch.argmax(torch.where(is_open, draws, torch.zeros_like(draws)), dim=-1)
        explores = coin < explore * epsilon
        return torch.where(explores, random, torch.argmax(inputs, dim=-1)), None

    def has_action(self, inputs: Tensor) -> Tensor:
        """Returns for each row whether any action has a value."""
        return _is_valued(inputs).any(-1)


def make_head(
    module: TorchRLModule, space: gym.Space[Any], *, normalizes: bool, clips: bool
) -> ActionHead:
    """Returns the head that samples as the module does when it explores.

    Raises:
        ConfigError: no head supports that distribution over that space.
    """
    if is_value_based(module) and isinstance(space, gym.spaces.Discrete):
        return EpsilonGreedyHead(space)
    distribution = plain_distribution(module.get_exploration_action_dist_cls())
    return leaf_head(distribution, space, normalizes=normalizes, clips=clips)


def inputs_of(space: gym.Space[Any]) -> int:
    """Returns how many numbers describe a distribution over a space that is not nested."""
    match space:
        case gym.spaces.Discrete():
            return int(space.n)
        case gym.spaces.MultiDiscrete():
            return int(np.sum(space.nvec))
        case gym.spaces.Box():
            return 2 * math.prod(space.shape)
        case _:
            return 0


def leaf_head(
    distribution: type[Any], space: gym.Space[Any], *, normalizes: bool, clips: bool
) -> ActionHead:
    """Returns the head that samples from a distribution over a space that is not nested.

    Raises:
        ConfigError: there is none.
    """
    if distribution is TorchCategorical and isinstance(space, gym.spaces.Discrete):
        return CategoricalHead(space)
    if distribution is TorchMultiCategorical and isinstance(space, gym.spaces.MultiDiscrete):
        if len(space.shape) != 1:
            raise ConfigError(
                f"actions are {shortened(str(space))}: RLlib samples MultiDiscrete of one "
                f"dimension, such as MultiDiscrete({shortened(str(np.ravel(space.nvec).tolist()))})"
            )
        return MultiCategoricalHead(space)
    if distribution is TorchDiagGaussian and isinstance(space, gym.spaces.Box):
        return DiagonalGaussianHead(space, normalizes=normalizes, clips=clips)
    if distribution is TorchSquashedGaussian and isinstance(space, gym.spaces.Box):
        return SquashedGaussianHead(space, normalizes=normalizes, clips=clips)
    raise ConfigError(
        f"actions of {space} drawn from {distribution.__name__} cannot be exported to a policy "
        "graph; supported are Discrete and MultiDiscrete (categorical, or epsilon-greedy for DQN), "
        "Box (diagonal or squashed Gaussian), and Tuple and Dict of these. RLlib itself can act "
        "instead: "
        'policy = "rllib" here, --policy rllib for the actors'
    )


def plain_distribution(distribution: type[Any]) -> type[Any]:
    """Returns RLlib's class of a distribution, also of one with arguments filled in."""
    if "DistributionPartial" in distribution.__qualname__:
        return cast("type[Any]", distribution.__bases__[0])
    return distribution


def is_value_based(module: TorchRLModule) -> bool:
    """Returns whether a module acts by action values, as DQN's does."""
    return isinstance(module, QNetAPI) and hasattr(module, "epsilon_schedule")


def _is_open(logits: Tensor) -> Tensor:
    return (logits > _MASKED).any(-1)


def _is_valued(values: Tensor) -> Tensor:
    return torch.nan_to_num(values, neginf=0.0) != 0.0


def _gumbel(noise: Tensor) -> Tensor:
    return -torch.log(-torch.log(noise))


def _log_probability(logits: Tensor, action: Tensor) -> Tensor:
    logps = torch.log_softmax(logits, dim=-1)
    return logps.gather(-1, action.unsqueeze(-1)).squeeze(-1)
