"""Samples the leaves of nested actions, each with a head of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
import torch
from msgspec import UNSET, UnsetType
from ray.rllib.core.distribution.torch.torch_distribution import TorchMultiDistribution
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from headrace.learner.export.action_heads import (
    ActionHead,
    BoxHead,
    inputs_of,
    is_value_based,
    leaf_head,
    make_head,
    plain_distribution,
)
from headrace.learner.spaces import is_nested, leaf_spaces, require_text_keys
from headrace.protocol.manifest import ActionRange

Leaves = dict[str, Tensor]
"""Actions by the path below the root; of actions that are not nested, under an empty path."""


class NestedHead(nn.Module):
    """One head per leaf of an action space; each takes a slice of inputs and noise."""

    def __init__(self, heads: Mapping[str, ActionHead]) -> None:
        super().__init__()
        self._paths = list(heads)
        self._heads = nn.ModuleList(heads.values())
        self._noise_sizes = [head.noise_size for head in heads.values()]
        self._input_sizes = [head.input_size for head in heads.values()]
        self.noise_size = sum(self._noise_sizes)

    @property
    def only(self) -> ActionHead | None:
        """The head of actions that are not nested."""
        return cast("ActionHead", self._heads[0]) if self._paths == [""] else None

    @property
    def squashes(self) -> bool:
        """Whether actions that are not nested are squashed."""
        return isinstance(self.only, BoxHead) and self.only.squashes

    @property
    def action_range(self) -> ActionRange | UnsetType:
        """See `PolicyGraph.action_range`; nested actions have none."""
        return self.only.action_range if self.only is not None else UNSET

    @property
    def action_start(self) -> tuple[int, ...] | UnsetType:
        """See `PolicyGraph.action_start`; nested actions have none."""
        return self.only.action_start if self.only is not None else UNSET

    def sample(
        self, inputs: Tensor, noise: Tensor, explore: Tensor, epsilon: Tensor
    ) -> tuple[Leaves, Tensor | None]:
        """Returns what the heads do; log-probabilities add up."""
        actions: Leaves = {}
        logps: list[Tensor] = []
        for path, head, own_inputs, own_noise in self._parts(inputs, noise):
            actions[path], logp = head.sample(own_inputs, own_noise, explore, epsilon)
            if logp is not None:
                logps.append(logp)
        return actions, torch.stack(logps).sum(0) if logps else None

    def has_action(self, inputs: Tensor) -> Tensor:
        """Returns for each row whether all heads have an action."""
        parts = self._parts(inputs, inputs.new_zeros(len(inputs), self.noise_size))
        return torch.stack([head.has_action(own) for _, head, own, _ in parts]).all(0)

    def to_env(self, actions: Leaves) -> Leaves:
        """Returns actions as the simulator expects them."""
        heads = dict(zip(self._paths, self._heads, strict=True))
        return {path: cast("ActionHead", heads[path]).to_env(a) for path, a in actions.items()}

    def _parts(self, inputs: Tensor, noise: Tensor) -> list[tuple[str, ActionHead, Tensor, Tensor]]:
        if len(self._paths) == 1:
            return [(self._paths[0], cast("ActionHead", self._heads[0]), inputs, noise)]
        parts = zip(
            self._paths,
            self._heads,
            torch.split(inputs, self._input_sizes, dim=-1),
            torch.split(noise, self._noise_sizes, dim=-1),
            strict=True,
        )
        return [(path, cast("ActionHead", head), own, drawn) for path, head, own, drawn in parts]


def make_heads(
    module: TorchRLModule, space: gym.Space[Any], *, normalizes: bool, clips: bool
) -> NestedHead:
    """Returns the heads that sample as the module does when it explores.

    Raises:
        ConfigError: no head supports a distribution over its space.
    """
    require_text_keys(space)
    leaves = leaf_spaces(space, "")
    distribution: Any = None
    if is_nested(space) and not is_value_based(module):
        distribution = module.get_exploration_action_dist_cls()
    if distribution is None or plain_distribution(distribution) is not TorchMultiDistribution:
        return NestedHead({"": make_head(module, space, normalizes=normalizes, clips=clips)})
    # Its parts are known once it is made.
    made = distribution.from_logits(torch.zeros(1, sum(map(inputs_of, leaves.values()))))
    parts = [plain_distribution(type(part)) for part in made._flat_child_distributions]
    return NestedHead(
        {
            path: leaf_head(kind, leaf, normalizes=normalizes, clips=clips)
            for (path, leaf), kind in zip(leaves.items(), parts, strict=True)
        }
    )
