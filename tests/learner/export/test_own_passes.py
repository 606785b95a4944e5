"""Modules whose passes are not RLlib's own: masks, their own greedy actions, and mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchMultiCategorical
from ray.rllib.core.models.base import ENCODER_OUT
from ray.rllib.core.rl_module.torch import TorchRLModule
from support.policies import Exported

from headrace.protocol.errors import ConfigError

CARTPOLE = Box(-1.0, 1.0, (4,))
SEEN = Box(-1.0, 1.0, (4,)).sample()[None].repeat(8, 0)
MASKED = Dict({"mask": MultiBinary(3), "state": Box(-1.0, 1.0, (4,))})
LOWEST = float(torch.finfo(torch.float32).min)


class Masked(TorchRLModule):
    """Adds `lowest` to the logits of masked actions; a linear layer reads the state."""

    lowest = -1e9

    def setup(self) -> None:
        self.layer = torch.nn.Linear(4, 3)

    def _forward(self, batch: Any, **_: Any) -> Any:
        seen = batch[Columns.OBS]
        logits = self.layer(seen["state"])
        return {Columns.ACTION_DIST_INPUTS: self.masked(logits, seen["mask"])}

    def masked(self, logits: Any, mask: Any) -> Any:
        return logits + (1.0 - mask) * self.lowest


class MaskedByMinimum(Masked):
    lowest = LOWEST


class MaskedByInfinity(Masked):
    def masked(self, logits: Any, mask: Any) -> Any:
        return torch.where(mask > 0, logits, -torch.inf)


class MaskedByLogarithm(Masked):
    """As RLlib's example of action masking."""

    def masked(self, logits: Any, mask: Any) -> Any:
        return logits + torch.clamp(torch.log(mask.float()), min=LOWEST)


@pytest.mark.parametrize("module", [Masked, MaskedByMinimum, MaskedByInfinity, MaskedByLogarithm])
def test_masked_actions_are_exported_and_never_taken(module: Any) -> None:
    made = Exported(MASKED, Discrete(3), module_class=module)
    mask = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1]] * 200, np.int8)
    state = np.zeros((600, 4), np.float32)
    acted = made.policy.act({"obs/mask": mask, "obs/state": state})
    assert mask[np.arange(600), acted.env_actions].all()
    assert set(acted.env_actions[1::3].tolist()) == {1, 2}
    assert np.isfinite(acted.recorded["action_logp"]).all()
    assert made.exported.manifest.graph.max_error <= 1e-3


def test_a_module_that_masks_everything_is_named() -> None:
    class Closed(Masked):
        def masked(self, logits: Any, mask: Any) -> Any:
            return logits - 1e9

    with pytest.raises(ConfigError, match="masks all actions for each of 128 observations"):
        Exported(MASKED, Discrete(3), module_class=Closed)


class Cautious(DefaultPPOTorchRLModule):
    """Without exploration it takes the least likely action."""

    def _forward_inference(self, batch: Any, **_: Any) -> Any:
        outputs = super()._forward_inference(batch)
        return {Columns.ACTIONS: outputs[Columns.ACTION_DIST_INPUTS].argmin(-1)}


class Sharpened(DefaultPPOTorchRLModule):
    """Without exploration its logits have the opposite sign."""

    def _forward_inference(self, batch: Any, **_: Any) -> Any:
        outputs = super()._forward_inference(batch)
        return {Columns.ACTION_DIST_INPUTS: -outputs[Columns.ACTION_DIST_INPUTS]}


@pytest.mark.parametrize("module", [Cautious, Sharpened])
def test_a_modules_own_inference_is_what_actors_run_without_exploration(module: Any) -> None:
    made = Exported(CARTPOLE, Discrete(3), module_class=module)
    greedy = made.policy.act({"obs": SEEN}, explore=False)
    logits = greedy.recorded["action_dist_inputs"]
    np.testing.assert_array_equal(greedy.env_actions, logits.argmin(-1))
    explored = made.policy.act({"obs": np.repeat(SEEN, 100, 0)}, explore=True)
    assert set(explored.env_actions.tolist()) == {0, 1, 2}


def test_own_inference_of_continuous_actions_is_unsquashed_too() -> None:
    class Still(DefaultPPOTorchRLModule):
        def _forward_inference(self, batch: Any, **_: Any) -> Any:
            return {Columns.ACTIONS: torch.zeros_like(batch[Columns.OBS][:, :2])}

    made = Exported(CARTPOLE, Box(0.0, 10.0, (2,)), module_class=Still)
    np.testing.assert_allclose(made.policy.act({"obs": SEEN}, explore=False).env_actions, 5.0)
    assert made.policy.act({"obs": SEEN}, explore=True).env_actions.std() > 0.0


@pytest.mark.parametrize("name", ["_forward_exploration", "_forward_inference"])
def test_a_pass_that_returns_nothing_to_act_with_is_named_with_a_way_out(name: str) -> None:
    def forward(self: Any, batch: Any, **_: Any) -> Any:
        return {ENCODER_OUT: batch[Columns.OBS]}

    module = type("Mute", (DefaultPPOTorchRLModule,), {name: forward})
    with pytest.raises(ConfigError, match=rf'{name} of Mute returns .*policy = "rllib"'):
        Exported(CARTPOLE, Discrete(3), module_class=module)


def test_a_pass_with_randomness_of_its_own_is_refused() -> None:
    class Random(DefaultPPOTorchRLModule):
        def _forward_inference(self, batch: Any, **_: Any) -> Any:
            drawn = torch.rand_like(batch[Columns.OBS][:, 0])
            return {Columns.ACTIONS: (1000 * drawn).long()}

    with pytest.raises(ConfigError, match=r"randomness\? Then run RLlib itself"):
        Exported(CARTPOLE, Discrete(1000), module_class=Random)


def test_masks_of_several_distributions_are_exported() -> None:
    class MaskedParts(Masked):
        def setup(self) -> None:
            self.layer = torch.nn.Linear(4, 5)
            distribution: Any = TorchMultiCategorical
            self.action_dist_cls = distribution.get_partial_dist_cls(
                space=self.action_space, input_lens=[2, 3]
            )

        def masked(self, logits: Any, mask: Any) -> Any:
            parts = torch.cat([mask[:, :2], mask], dim=-1)
            return torch.where(parts > 0, logits, -torch.inf)

    made = Exported(MASKED, MultiDiscrete([2, 3]), module_class=MaskedParts)
    mask = np.array([[0, 1, 0]] * 50, np.int8)
    acted = made.policy.act({"obs/mask": mask, "obs/state": np.zeros((50, 4), np.float32)})
    assert acted.env_actions.tolist() == [[1, 1]] * 50
