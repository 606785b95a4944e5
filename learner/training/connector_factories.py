"""Makes RLlib's connectors for the observation settings of a run file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ray.rllib.connectors import env_to_module as rllib
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.env_to_module import FlattenObservations, MeanStdFilter
from ray.rllib.connectors.env_to_module.frame_stacking import FrameStackingEnvToModule
from ray.rllib.connectors.learner.frame_stacking import FrameStackingLearner

from headrace.learner.training.importing import load_function
from headrace.learner.training.run_sections import LearnerSection
from headrace.protocol.errors import ConfigError
from headrace.protocol.spelling import nearest

_SETTINGS = {
    "FlattenObservations": "flatten_observations = true",
    "FrameStackingEnvToModule": "frame_stack = 4",
}
"""Connectors that need more than their class."""


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
        made: list[ConnectorV2] = [_connector(name)() for name in section.connectors]
        if section.flatten_observations:
            made.append(FlattenObservations(multi_agent=self.is_multi_agent))
        if section.observation_filter == "MeanStdFilter":
            made.append(MeanStdFilter())
        if section.frame_stack > 1:
            made.append(FrameStackingEnvToModule(num_frames=section.frame_stack))
        return made


def require_connectors(names: Sequence[str]) -> None:
    """Raises ConfigError if one does not exist."""
    for name in names:
        _connector(name)


def _connector(name: str) -> type[ConnectorV2]:
    where = "[learner] connectors"
    if name in _SETTINGS:
        raise ConfigError(f"{where}: for {name} write {_SETTINGS[name]} under [learner]")
    found: object = load_function(name, where) if ":" in name else getattr(rllib, name, None)
    if found is None:
        known = [each for each in dir(rllib) if _is_connector(getattr(rllib, each))]
        raise ConfigError(f"{where}: RLlib has no {name!r}; {nearest(name, known)}")
    if not _is_connector(found):
        raise ConfigError(f"{where}: {name!r} is not a subclass of RLlib's ConnectorV2")
    return cast("type[ConnectorV2]", found)


def _is_connector(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, ConnectorV2)


@dataclass(frozen=True)
class LearnerStacking:
    """Factory for `AlgorithmConfig.learners(learner_connector=…)`, which stacks frames again."""

    frames: int

    def __call__(self, _observation_space: Any = None, _action_space: Any = None) -> ConnectorV2:
        """Returns the connector."""
        return FrameStackingLearner(num_frames=self.frames)
