"""Exports modules for actors that run the policy graph, or RLlib itself if there is no graph."""

from __future__ import annotations

import abc
import copy
import dataclasses
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.learner.export.connectors import ModuleSpaces, Pipelines, module_spaces
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.export.graph_contract import nested_env_actions
from headrace.learner.export.module_building import build_module
from headrace.learner.export.module_export import export_module, require_exportable
from headrace.learner.spaces import column_of, leaf_spaces, leaf_with_start, tensor_of
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import ColumnSpec, ModuleManifest, PolicyGraph, TensorSpec
from headrace.protocol.paths import flatten_paths
from headrace.protocol.policy_graph import ENV_ACTION, ENV_STEPS, EXPLORE
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS, REWARDS


class ModuleExporter(abc.ABC):
    """Exports what actors need in order to act and record.

    Attributes:
        spaces: those of the simulator and of the module.
    """

    spaces: ModuleSpaces

    @abc.abstractmethod
    def check(self, module: TorchRLModule) -> None:
        """Raises ConfigError, at once, if `export` could not succeed with the module's actions."""

    @abc.abstractmethod
    def export(self, module: TorchRLModule) -> ExportedModule:
        """Returns everything that actors get of a module, except its weights."""


class GraphExporter(ModuleExporter):
    """For actors that run the exported policy graph, which includes RLlib's connectors."""

    def __init__(
        self,
        config: AlgorithmConfig,
        pipelines: Pipelines,
        observation: gym.Space[Any],
        action: gym.Space[Any],
    ) -> None:
        self._config = config
        self.spaces = module_spaces(pipelines, observation, action)

    def check(self, module: TorchRLModule) -> None:
        require_exportable(module, self.spaces, self._config)

    def export(self, module: TorchRLModule) -> ExportedModule:
        return export_module(module, self.spaces, self._config)


class RLlibExporter(ModuleExporter):
    """For actors that run RLlib's own runner, connectors and module: there is no graph.

    One step of the configured pipelines determines the columns that they record.
    """

    def __init__(
        self,
        config: AlgorithmConfig,
        pipelines: Pipelines,
        observation: gym.Space[Any],
        action: gym.Space[Any],
    ) -> None:
        self._config = config
        _refuse_starts(observation, action)
        to_module: Any = pipelines.to_module
        spaces = ModuleSpaces(observation, action, (), to_module.observation_space)
        built = build_module(
            lambda: config.get_rl_module_spec(
                spaces=spaces.by_rllib_key, inference_only=True
            ).build(),
            spaces.module_observation,
            action,
        )
        module = cast("TorchRLModule", built)
        recorded, self._outputs = _try_step(module, pipelines, spaces)
        written = next(
            space
            for space in (observation, spaces.module_observation, _space_like(recorded))
            if _fits(recorded, space)
        )
        self.spaces = dataclasses.replace(spaces, written_observation=written)

    def check(self, module: TorchRLModule) -> None:
        pass

    def export(self, module: TorchRLModule) -> ExportedModule:
        state: dict[str, Array] = module.get_state(inference_only=True)
        weights = [TensorSpec(name, v.dtype.name, tuple(v.shape)) for name, v in state.items()]
        spaces = self.spaces
        graph = PolicyGraph(
            observations=tuple(
                tensor_of(path, leaf)
                for path, leaf in leaf_spaces(spaces.observation, OBSERVATIONS).items()
            ),
            noise_size=0,
            weights=(*weights, TensorSpec(ENV_STEPS, "int64", (1,))),
            scalars={EXPLORE: float(bool(self._config.explore))},
            recorded={},
            **nested_env_actions(
                spaces.action,
                {
                    path: tensor_of(f"{ENV_ACTION}{path}", leaf)
                    for path, leaf in leaf_spaces(spaces.action, "").items()
                },
            ),
            max_error=0.0,
        )
        lookback = int(self._config.episode_lookback_horizon or 0)
        return ExportedModule(
            b"", ModuleManifest(self._columns(), graph, lookback), tuple(state), {}
        )

    def _columns(self) -> tuple[ColumnSpec, ...]:
        observations = leaf_spaces(self.spaces.episode_observation, OBSERVATIONS)
        actions = leaf_spaces(self.spaces.action, ACTIONS)
        outputs = [
            ColumnSpec(name, np.asarray(value).dtype.name, np.shape(value))
            for name, value in self._outputs.items()
        ]
        return (
            *(column_of(path, leaf) for path, leaf in observations.items()),
            *(column_of(path, leaf) for path, leaf in actions.items()),
            ColumnSpec(REWARDS, "float32", ()),
            *outputs,
        )


def _refuse_starts(*spaces: gym.Space[Any]) -> None:
    """Raises ConfigError for indices that do not count from 0, which RLlib's connectors ignore."""
    for space in spaces:
        if (found := leaf_with_start(space, "space")) is not None:
            path, leaf = found
            raise ConfigError(
                f'with policy = "rllib", RLlib\'s own connectors ignore the start of {leaf} '
                f"({path}): leave out policy, or count from 0 in the simulator"
            )


def _try_step(
    module: TorchRLModule, pipelines: Pipelines, spaces: ModuleSpaces
) -> tuple[Any, dict[str, Any]]:
    """Returns the observation that connectors write to an episode, and outputs by column name."""
    pipelines = copy.deepcopy(pipelines)  # this step must not count in the statistics
    to_module, to_env = cast("Any", pipelines.to_module), cast("Any", pipelines.to_env)
    episode = SingleAgentEpisode(observation_space=spaces.observation, action_space=spaces.action)
    episode.add_env_reset(observation=spaces.observation.sample())
    shared: dict[str, Any] = {}
    step: dict[str, Any] = {"rl_module": module, "episodes": [episode], "explore": True}
    batch = to_module(batch={}, shared_data=shared, **step)
    with torch.no_grad():
        batch = module.forward_exploration(batch, t=0)
    batch = to_env(batch=batch, shared_data=shared, **step)
    outputs: dict[str, Any] = {}
    for name, rows in batch.items():
        if name not in (Columns.ACTIONS, Columns.ACTIONS_FOR_ENV):
            outputs.update(flatten_paths(rows[0], name))
    return episode.get_observations(-1), outputs


def _fits(value: Any, space: gym.Space[Any]) -> bool:
    leaves = leaf_spaces(space, OBSERVATIONS)
    found = flatten_paths(value, OBSERVATIONS)
    return leaves.keys() == found.keys() and all(
        (np.shape(found[path]), np.asarray(found[path]).dtype) == (leaf.shape, leaf.dtype)
        for path, leaf in leaves.items()
    )


def _space_like(value: Any) -> gym.Space[Any]:
    """Returns a space for an observation of neither the simulator's nor the module's space."""
    if isinstance(value, dict):
        return gym.spaces.Dict({name: _space_like(member) for name, member in value.items()})
    if isinstance(value, tuple):
        return gym.spaces.Tuple([_space_like(member) for member in value])
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"observations of dtype {array.dtype} cannot be recorded")
    low, high = (0, 1) if array.dtype.kind in "ub" else (-np.inf, np.inf)
    return gym.spaces.Box(low, high, array.shape, array.dtype.type)
