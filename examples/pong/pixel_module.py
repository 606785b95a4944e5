"""PPO's default module for observations of bytes."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.columns import Columns


class PixelModule(DefaultPPOTorchRLModule):  # type: ignore[misc] # Ray has no types
    """Scales pixels to [0, 1] itself: a wrapper would make each four bytes."""

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> Any:
        return super()._forward(_scaled(batch), **kwargs)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> Any:
        return super()._forward_train(_scaled(batch), **kwargs)

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Any:
        """Returns the critic's values, [n]."""
        return super().compute_values(_scaled(batch), embeddings)


def _scaled(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, Columns.OBS: batch[Columns.OBS].float() / 255.0}
