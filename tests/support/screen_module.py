"""A small network for `support.screens`."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule


class ScreenModule(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc] # Ray has no types
    """Looks at every eighth pixel, so that the learner needs little memory."""

    def setup(self) -> None:
        """Makes the layers."""
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 9, 9),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.LazyLinear(32),
        )
        self.body(torch.zeros(1, 3, 135, 240))
        self.policy = torch.nn.Linear(32, 2)
        self.value = torch.nn.Linear(32, 1)

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self.policy(self._embed(batch))}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Any:
        """Returns the critic's values, [n]."""
        return self.value(self._embed(batch)).squeeze(-1)

    def _embed(self, batch: dict[str, Any]) -> Any:
        seen = batch[Columns.OBS][:, ::8, ::8].float() / 255.0
        return torch.relu(self.body(seen.permute(0, 3, 1, 2)))
