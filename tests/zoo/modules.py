"""Modules of the zoo."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

_MASKED = -1e9


class MaskedActions(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]
    """Takes observations with an `action_mask`, as PettingZoo's classic games give them."""

    def setup(self) -> None:
        size = int(self.observation_space["observation"].shape[0]) * 6
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(size, 64), nn.Tanh())
        self.policy = nn.Linear(64, int(self.action_space.n))
        self.value = nn.Linear(64, 1)

    def _forward(self, batch: Any, **_: Any) -> Any:
        seen = batch[Columns.OBS]
        logits = self.policy(self.body(seen["observation"].float()))
        masked = logits + _MASKED * (1.0 - seen["action_mask"].float())
        return {Columns.ACTION_DIST_INPUTS: masked}

    def compute_values(self, batch: Any, embeddings: Any = None) -> Any:
        seen = batch[Columns.OBS]
        return torch.squeeze(self.value(self.body(seen["observation"].float())), -1)
