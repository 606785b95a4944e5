"""Several agents in a simulator: RLlib's MultiAgentEpisodes, and several modules."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import gymnasium as gym
import msgspec
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode

from headrace.learner.episodes.multi_agent_episodes import ModuleOfAgent, MultiAgentEpisodeMaker
from headrace.learner.episodes.segments import EpisodeSegment
from headrace.learner.episodes.single_agent_episodes import EpisodeMaker
from headrace.learner.export.connectors import agent_module_spaces, build_pipelines
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.export.module_building import build_module, require_numbers
from headrace.learner.export.module_export import export_module, require_exportable
from headrace.learner.export.observation_flattening import flattening_of
from headrace.learner.runner.agent_setup import AgentSetup
from headrace.learner.runner.module_weights import ModuleWeights
from headrace.learner.runner.simulator_spaces import simulator_spaces
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import ColumnSpec
from headrace.protocol.trajectory import ENV_T

_TIME = ColumnSpec(ENV_T, "int64", ())
_TRIED_EPISODES = 16


class MultiAgentSetup(AgentSetup):
    """A policy graph for each module; the config maps agents to modules.

    Modules without a known agent are neither exported nor trained.
    """

    is_multi_agent = True

    def __init__(self, config: AlgorithmConfig, policy: str) -> None:
        """Raises ConfigError for settings that are not supported with several agents."""
        if isinstance(config, DQNConfig | SACConfig):
            raise ConfigError(
                "DQN and SAC replay the steps of one agent; with several agents use PPO, APPO or "
                "IMPALA, or one run per agent"
            )
        if policy != "graph":
            raise ConfigError(
                'several agents need policy graphs; leave out policy = "rllib", and do what '
                "cannot be exported in the simulator or in the RLModule"
            )
        observation, action = simulator_spaces(config)
        if not isinstance(observation, gym.spaces.Dict) or not isinstance(action, gym.spaces.Dict):
            raise ConfigError(
                "a run with several agents needs a space for each: observation_space and "
                "action_space must be gymnasium.spaces.Dict, by agent id"
            )
        for agent in observation:
            require_numbers(observation[agent], action[agent])
        self._config = config
        module_of = cast("ModuleOfAgent", config.policy_mapping_fn)
        modules = _map_agents(module_of, observation)
        # On the wire ids are text; RLlib's may be of any kind.
        self.modules_by_agent = {str(agent): module for agent, module in modules.items()}
        self.pipelines = build_pipelines(config, observation, action)
        self._spaces = {
            module: agent_module_spaces(self.pipelines, observation[agent], action[agent], module)
            for agent, module in modules.items()
        }
        env_spaces = (observation, action)
        self.spaces = {
            **dict.fromkeys((INPUT_ENV_SPACES, INPUT_ENV_SINGLE_SPACES), env_spaces),
            **{name: (own.module_observation, own.action) for name, own in self._spaces.items()},
        }
        module = build_module(
            lambda: config.get_multi_rl_module_spec(
                spaces=self.spaces, inference_only=True
            ).build(),
            *next((own.module_observation, own.action) for own in self._spaces.values()),
        )
        self._module = cast("MultiRLModule", module)
        self.weights = {
            name: ModuleWeights(cast("TorchRLModule", self._module[name])) for name in self._spaces
        }
        for name, weights in self.weights.items():
            require_exportable(weights.module, self._spaces[name], config)
        makers = {
            name: EpisodeMaker(own.episode_observation, own.action)
            for name, own in self._spaces.items()
        }
        self._flattenings = {name: flattening_of(own.stages) for name, own in self._spaces.items()}
        self._episodes = MultiAgentEpisodeMaker(makers, observation, action, module_of)

    @property
    def module(self) -> MultiRLModule:
        for weights in self.weights.values():
            weights.load()
        return self._module

    def export(self) -> dict[str, ExportedModule]:
        return {
            name: _timed(export_module(weights.module, self._spaces[name], self._config))
            for name, weights in self.weights.items()
        }

    def set_weights(self, state: Mapping[str, Any], number: int) -> None:
        for name, own in state.items():
            if name in self.weights:
                self.weights[name].set(own)

    def statistics(self, number: int) -> Mapping[str, Mapping[str, Array]]:
        return {}

    def make_episodes(self, segments: Sequence[EpisodeSegment]) -> list[MultiAgentEpisode]:
        return [
            self._episodes.make(self._flattened(segment), segment.lease.version.number)
            for segment in segments
        ]

    def _flattened(self, segment: EpisodeSegment) -> EpisodeSegment:
        chunks = tuple(
            chunk if (own := self._flattenings[chunk.module_id]) is None else own.apply(chunk)
            for chunk in segment.chunks
        )
        return dataclasses.replace(segment, chunks=chunks)


def _map_agents(module_of: ModuleOfAgent, agents: gym.spaces.Dict) -> dict[Any, str]:
    """Returns the module of each agent, which must not depend on the episode."""
    episodes = [MultiAgentEpisode(id_=f"{number:032x}") for number in range(_TRIED_EPISODES)]
    by_agent: dict[Any, str] = {}
    for agent in agents:
        modules = {module_of(agent, episode) for episode in episodes}
        if len(modules) > 1:
            raise ConfigError(
                f"policy_mapping_fn maps agent {agent!r} to {', '.join(sorted(modules))}, "
                "depending on the episode; actors get one fixed mapping for all episodes"
            )
        by_agent[agent] = modules.pop()
    return by_agent


def _timed(exported: ExportedModule) -> ExportedModule:
    manifest = exported.manifest
    columns = (*manifest.columns, _TIME)
    return dataclasses.replace(
        exported, manifest=msgspec.structs.replace(manifest, columns=columns)
    )
