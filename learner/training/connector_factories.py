"""Makes RLlib's connectors for the observation settings of a run file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.env_to_module import FlattenObservations, MeanStdFilter
from ray.rllib.connectors.env_to_module.frame_stacking import FrameStackingEnvToModule
from ray.rllib.connectors.learner.frame_stacking import FrameStackingLearner

from headrace.learner.training.run_sections import LearnerSection


@dataclass(frozen=True)
class EnvToModule:
    """Factory for `AlgorithmConfig.env_runners(env_to_module_connector=…)`."""

    section: LearnerSection
    is_multi_agent: bool

    def __call__(
        self, _env: Any = None, _spaces: Any = None, _device: Any = None
    ) -> list[ConnectorV2]:
        """Returns the connectors in the order that the policy graph supports."""
        section = self.section
        made: list[ConnectorV2] = []
        if section.flatten_observations:
            made.append(FlattenObservations(multi_agent=self.is_multi_agent))
        if section.observation_filter == "MeanStdFilter":
            made.append(MeanStdFilter())
        if section.frame_stack > 1:
            made.append(FrameStackingEnvToModule(num_frames=section.frame_stack))
        return made


@dataclass(frozen=True)
class LearnerStacking:
    """Factory for `AlgorithmConfig.learners(learner_connector=…)`, which stacks frames again."""

    frames: int

    def __call__(self, _observation_space: Any = None, _action_space: Any = None) -> ConnectorV2:
        """Returns the connector."""
        return FrameStackingLearner(num_frames=self.frames)
