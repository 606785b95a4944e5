"""RLlib's observation connectors as parts of the policy graph, one class each.

A stage maps rows of observations, in the nested structure of its input space, to its output space.
Its memory of earlier steps (frames, actions, rewards) is *state*: tensors that are inputs and
outputs of the graph, zero at the start of an episode.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.connectors.common.flatten_observations import FlattenObservations
from ray.rllib.connectors.common.frame_stacking import FrameStacking
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.env_to_module import MeanStdFilter, PrevActionsPrevRewards
from ray.rllib.utils.numpy import SMALL_NUMBER
from torch import Tensor, nn

from headrace.learner.spaces import leaf_spaces, nest_columns
from headrace.protocol.errors import ConfigError
from headrace.protocol.paths import flatten_paths
from headrace.protocol.trajectory import OBSERVATIONS

_FLAT_ITEM_BYTES = 4

Tensors = Mapping[str, Tensor]
"""Tensors by name."""


class ObservationStage(nn.Module, abc.ABC):
    """One connector.

    Attributes:
        input, output: the spaces of its inputs and outputs.
        state_shapes: shape of each tensor of its state, without the leading n.
        tensor_shapes: shape of each input that comes with every version of the weights.
        is_recorded: whether actors record its output; otherwise the learner recomputes it.
    """

    is_recorded = True
    needs_reward = False

    def __init__(self, connector: ConnectorV2) -> None:
        super().__init__()
        self.input = cast("gym.Space[Any]", connector.input_observation_space)
        self.output = cast("gym.Space[Any]", connector.observation_space)
        self.state_shapes: dict[str, tuple[int, ...]] = {}
        self.tensor_shapes: dict[str, tuple[int, ...]] = {}

    @abc.abstractmethod
    def forward(self, value: Any, state: Tensors, tensors: Tensors, reward: Tensor) -> Any:
        """Returns observations for the next stage.

        Args:
            reward: [n] of the last step, 0 at the start of an episode.
        """

    def remember(self, value: Any, state: Tensors, reward: Tensor, actions: Tensors) -> Tensors:
        """Returns the state for the next step; `value` is the input of `forward`."""
        return {}


class FlattenStage(ObservationStage):
    """RLlib's FlattenObservations: one vector, indices as one-hot.

    Where the simulator's observations are smaller, actors may record these, and the learner
    flattens them; see `observation_flattening.py`.
    """

    def __init__(self, connector: FlattenObservations) -> None:
        super().__init__(connector)
        settings: Any = connector
        if getattr(settings, "_keys_to_remove", None) or getattr(settings, "_agent_ids", None):
            raise ConfigError(
                "FlattenObservations with keys_to_remove or agent_ids cannot be put into the "
                "policy graph; leave the keys out in the simulator"
            )
        self._leaves = leaf_spaces(self.input, OBSERVATIONS)

    @property
    def grows(self) -> bool:
        """Whether a flat observation takes more bytes than the simulator's."""
        flat = math.prod(cast("tuple[int, ...]", self.output.shape)) * _FLAT_ITEM_BYTES
        return flat > sum(map(_row_bytes, self._leaves.values()))

    def forward(self, value: Any, state: Tensors, tensors: Tensors, reward: Tensor) -> Any:
        """Concatenates the leaves in the order of their paths."""
        rows = flatten_paths(value, OBSERVATIONS)
        return torch.cat([_flatten(rows[path], s) for path, s in self._leaves.items()], dim=-1)


class PreviousStage(ObservationStage):
    """RLlib's PrevActionsPrevRewards: previous actions and rewards, beside the observation."""

    def __init__(self, connector: PrevActionsPrevRewards) -> None:
        super().__init__(connector)
        action = connector.input_action_space
        if not isinstance(action, gym.spaces.Discrete):
            raise ConfigError(f"PrevActionsPrevRewards needs Discrete actions, not {action}")
        self._size = int(action.n)
        self._actions, self._rewards = connector.n_prev_actions, connector.n_prev_rewards
        self.needs_reward = self._rewards > 0
        if self._actions:
            self.state_shapes["prev_actions"] = (self._actions, self._size)
        if self._rewards > 1:
            self.state_shapes["prev_rewards"] = (self._rewards - 1,)

    def forward(self, value: Any, state: Tensors, tensors: Tensors, reward: Tensor) -> Any:
        """Returns a map with RLlib's keys; oldest first, zeros before the start."""
        augmented = {PrevActionsPrevRewards.ORIG_OBS_KEY: value}
        if self._actions:
            actions = state["prev_actions"]
            augmented[PrevActionsPrevRewards.PREV_ACTIONS_KEY] = actions.flatten(1)
        if self._rewards:
            augmented[PrevActionsPrevRewards.PREV_REWARDS_KEY] = self._window(state, reward)
        return augmented

    def remember(self, value: Any, state: Tensors, reward: Tensor, actions: Tensors) -> Tensors:
        """Shifts the newest action and reward in."""
        kept: dict[str, Tensor] = {}
        if self._actions:
            newest = _one_hot(actions[""], self._size).unsqueeze(1)
            kept["prev_actions"] = torch.cat([state["prev_actions"][:, 1:], newest], dim=1)
        if self._rewards > 1:
            kept["prev_rewards"] = self._window(state, reward)[:, 1:]
        return kept

    def _window(self, state: Tensors, reward: Tensor) -> Tensor:
        newest = reward.unsqueeze(-1)
        if self._rewards == 1:
            return newest
        return torch.cat([state["prev_rewards"], newest], dim=-1)


class MeanStdStage(ObservationStage):
    """RLlib's MeanStdFilter, with the statistics that came with the weights.

    Actors record its input, from which the learner updates the statistics and recomputes its
    output.
    """

    is_recorded = False

    def __init__(self, connector: MeanStdFilter) -> None:
        super().__init__(connector)
        self._centres, self._scales = connector.de_mean_to_zero, connector.de_std_to_one
        self._clip = connector.clip_by_value
        for path, leaf in leaf_spaces(self.input, OBSERVATIONS).items():
            if not isinstance(leaf, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
                self.tensor_shapes[f"filter/{path}/mean"] = cast("tuple[int, ...]", leaf.shape)
                self.tensor_shapes[f"filter/{path}/std"] = cast("tuple[int, ...]", leaf.shape)

    def forward(self, value: Any, state: Tensors, tensors: Tensors, reward: Tensor) -> Any:
        """Normalises each leaf that is not an index."""
        rows = flatten_paths(value, OBSERVATIONS)
        return nest_columns(
            self.input, {path: self._normalize(path, row, tensors) for path, row in rows.items()}
        )

    def _normalize(self, path: str, row: Tensor, tensors: Tensors) -> Tensor:
        if f"filter/{path}/mean" not in tensors:
            return row
        if self._centres:
            row = row - tensors[f"filter/{path}/mean"]
        if self._scales:
            row = row / (tensors[f"filter/{path}/std"] + SMALL_NUMBER)
        return torch.clamp(row, -self._clip, self._clip) if self._clip else row


class FrameStackStage(ObservationStage):
    """RLlib's FrameStacking: the newest frames along the last axis, zeros before the start.

    Actors record single frames; RLlib's learner connector stacks them again.
    """

    is_recorded = False

    def __init__(self, connector: FrameStacking) -> None:
        super().__init__(connector)
        self.frames = int(connector.num_frames)
        shape = cast("tuple[int, ...]", self.output.shape)
        if self.frames > 1:
            self.state_shapes["frames"] = (*shape[:-1], self.frames - 1)

    def forward(self, value: Any, state: Tensors, tensors: Tensors, reward: Tensor) -> Any:
        """Returns the earlier frames, and this one last."""
        if self.frames == 1:
            return value
        return torch.cat([state["frames"].to(value.dtype), value], dim=-1)

    def remember(self, value: Any, state: Tensors, reward: Tensor, actions: Tensors) -> Tensors:
        """Drops the oldest frame."""
        if self.frames == 1:
            return {}
        stacked = torch.cat([state["frames"], value.to(torch.float32)], dim=-1)
        return {"frames": stacked[..., 1:]}


def make_stage(connector: ConnectorV2) -> ObservationStage | None:
    """Returns the stage for a connector that changes observations, None if it is unknown."""
    match connector:
        case FlattenObservations():
            return FlattenStage(connector)
        case PrevActionsPrevRewards():
            return PreviousStage(connector)
        case MeanStdFilter():
            return MeanStdStage(connector)
        case FrameStacking():
            return FrameStackStage(connector)
        case _:
            return None


def _row_bytes(space: gym.Space[Any]) -> int:
    return np.dtype(space.dtype).itemsize * math.prod(space.shape or ())


def _flatten(values: Tensor, space: gym.Space[Any]) -> Tensor:
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


def tensors_of(stages: tuple[ObservationStage, ...]) -> Mapping[str, tuple[int, ...]]:
    """Returns the shapes of all inputs that come with each version of the weights."""
    return {name: shape for stage in stages for name, shape in stage.tensor_shapes.items()}
