"""One agent in a simulator: RLlib's SingleAgentEpisodes, and one module."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium as gym
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.learner.config import PolicyKind
from headrace.learner.episodes.episode_ids import ContiguousEpisodeIds
from headrace.learner.episodes.segments import EpisodeSegment
from headrace.learner.episodes.single_agent_episodes import EpisodeMaker
from headrace.learner.export.connectors import build_pipelines
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.export.module_building import build_module, require_numbers
from headrace.learner.export.module_exporters import GraphExporter, RLlibExporter
from headrace.learner.export.observation_filter import ObservationFilter
from headrace.learner.export.observation_flattening import flattening_of
from headrace.learner.runner.agent_setup import AgentSetup
from headrace.learner.runner.module_weights import ModuleWeights
from headrace.learner.runner.simulator_spaces import simulator_spaces
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import DEFAULT_MODULE

_ACTING = {"graph": GraphExporter, "rllib": RLlibExporter}


class SingleAgentSetup(AgentSetup):
    """RLlib's default module, and the observation filter among its connectors."""

    is_multi_agent = False
    modules_by_agent: Mapping[str, str] = {}

    def __init__(self, config: AlgorithmConfig, policy: PolicyKind) -> None:
        observation, action = simulator_spaces(config)
        require_numbers(observation, action)
        if isinstance(config, DQNConfig) and not isinstance(action, gym.spaces.Discrete):
            raise ConfigError(f"DQN needs Discrete actions, and these are {action}: use SAC or PPO")
        self.pipelines = build_pipelines(config, observation, action)
        self._acting = _ACTING[policy](config, self.pipelines, observation, action)
        own = self._acting.spaces
        self.spaces = own.by_rllib_key
        self._episodes = EpisodeMaker(own.episode_observation, action)
        self._names = ContiguousEpisodeIds()
        self._flattening = flattening_of(own.stages)
        self._filter = (
            ObservationFilter(self.pipelines.to_module, own.filter) if own.filter else None
        )
        module = build_module(
            lambda: config.get_rl_module_spec(spaces=self.spaces, inference_only=True).build(),
            own.module_observation,
            action,
        )
        self._weights = ModuleWeights(cast("TorchRLModule", module))
        self._acting.check(self._weights.module)
        self.weights = {DEFAULT_MODULE: self._weights}

    @property
    def module(self) -> TorchRLModule:
        return self._weights.module

    def export(self) -> dict[str, ExportedModule]:
        return {DEFAULT_MODULE: self._acting.export(self._weights.module)}

    def set_weights(self, state: Mapping[str, Any], number: int) -> None:
        self._weights.set(state.get(DEFAULT_MODULE_ID, state))
        if self._filter is not None:
            self._filter.remember(number)

    def statistics(self, number: int) -> Mapping[str, Mapping[str, Array]]:
        return {DEFAULT_MODULE: self._filter.tensors(number) if self._filter is not None else {}}

    def make_episodes(self, segments: Sequence[EpisodeSegment]) -> list[SingleAgentEpisode]:
        return [self._make(segment) for segment in segments]

    def _make(self, segment: EpisodeSegment) -> SingleAgentEpisode:
        chunk, number = segment.chunks[0], segment.lease.version.number
        if self._flattening is not None:
            chunk = self._flattening.apply(chunk)
        if self._filter is not None:
            chunk = dataclasses.replace(chunk, columns=self._filter.take(chunk, number))
        return self._episodes.make(chunk, number, self._names.name(chunk))
