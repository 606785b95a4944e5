"""The interface of everything that differs between one agent per simulator and several."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
from ray.rllib.core.rl_module.rl_module import RLModule

from headrace.learner.episodes.segments import EpisodeSegment
from headrace.learner.export.connectors import Pipelines
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.runner.module_weights import ModuleWeights
from headrace.protocol.arrays import Array

Spaces = dict[str, tuple[gym.Space[Any], gym.Space[Any]]]


class AgentSetup(abc.ABC):
    """The modules of a run, with their connectors, and how chunks become RLlib's episodes.

    Attributes:
        pipelines: RLlib's own pipelines, whose state RLlib merges and saves.
        spaces: as `EnvRunner.get_spaces` returns them.
        weights: by module id.
        modules_by_agent: which module acts for which agent; empty for a single agent.
    """

    pipelines: Pipelines
    spaces: Spaces
    weights: Mapping[str, ModuleWeights]
    modules_by_agent: Mapping[str, str]
    is_multi_agent: bool

    @property
    @abc.abstractmethod
    def module(self) -> RLModule:
        """The module, or the container of several, with the newest weights."""

    @abc.abstractmethod
    def export(self) -> dict[str, ExportedModule]:
        """Returns everything that actors get except the weights, by module id.

        Raises:
            ConfigError: a module cannot be exported.
        """

    @abc.abstractmethod
    def set_weights(self, state: Mapping[str, Any], number: int) -> None:
        """Stores newer weights, those of version `number`."""

    @abc.abstractmethod
    def statistics(self, number: int) -> Mapping[str, Mapping[str, Array]]:
        """Returns the statistics that are sent with a version's weights, by module id."""

    @abc.abstractmethod
    def make_episodes(self, segments: Sequence[EpisodeSegment]) -> list[Any]:
        """Returns segments as RLlib's episodes, one for each."""
