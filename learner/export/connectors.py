"""The RLlib connectors of a run, and the spaces that result; rejects those without a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.connectors.common import (
    AddObservationsFromEpisodesToBatch,
    AddStatesFromEpisodesToBatch,
    AddTimeDimToBatchAndZeroPad,
    AgentToModuleMapping,
    BatchIndividualItems,
    NumpyToTensor,
    TensorToNumpy,
)
from ray.rllib.connectors.common.flatten_observations import FlattenObservations
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.env_to_module import EnvToModulePipeline
from ray.rllib.connectors.module_to_env import (
    GetActions,
    ListifyDataForVectorEnv,
    ModuleToAgentUnmapping,
    ModuleToEnvPipeline,
    NormalizeAndClipActions,
    RemoveSingleTsTimeRankFromBatch,
    UnBatchToIndividualItems,
)
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES

from headrace.learner.export.observation_stages import (
    FlattenStage,
    FrameStackStage,
    MeanStdStage,
    ObservationStage,
    make_stage,
)
from headrace.learner.spaces import leaf_with_start
from headrace.protocol.errors import ConfigError
from headrace.protocol.trajectory import OBSERVATIONS

# The graph and the columns of the wire do by construction what these do to a batch.
_PLUMBING = (
    AddObservationsFromEpisodesToBatch,
    AddTimeDimToBatchAndZeroPad,
    AddStatesFromEpisodesToBatch,
    BatchIndividualItems,
    NumpyToTensor,
    GetActions,
    TensorToNumpy,
    UnBatchToIndividualItems,
    RemoveSingleTsTimeRankFromBatch,
    NormalizeAndClipActions,
    ListifyDataForVectorEnv,
)
_AGENT_PLUMBING = (AgentToModuleMapping, ModuleToAgentUnmapping)


@dataclass(frozen=True)
class ModuleSpaces:
    """The spaces of a simulator, and of its observations after each stage.

    Attributes:
        stages: the connectors that change observations, the recorded ones first.
        module_observation: input of the module.
        written_observation: what connectors write to episodes, if they run on the actors.
    """

    observation: gym.Space[Any]
    action: gym.Space[Any]
    stages: tuple[ObservationStage, ...]
    module_observation: gym.Space[Any]
    written_observation: gym.Space[Any] | None = None

    @property
    def recorded_observation(self) -> gym.Space[Any]:
        """The space of the observations that actors record."""
        recorded = [stage for stage in self.stages if stage.is_recorded]
        return recorded[-1].output if recorded else self.observation

    @property
    def episode_observation(self) -> gym.Space[Any]:
        """The space of the observations in RLlib's episodes."""
        if self.written_observation is not None:
            return self.written_observation
        written = [s for s in self.stages if not isinstance(s, FrameStackStage)]
        return written[-1].output if written else self.observation

    @property
    def filter(self) -> MeanStdStage | None:
        """The stage that normalises, None without one."""
        return next((stage for stage in self.stages if isinstance(stage, MeanStdStage)), None)

    @property
    def frames(self) -> int:
        """The number of frames that the module sees at once."""
        stacked = [stage.frames for stage in self.stages if isinstance(stage, FrameStackStage)]
        return stacked[0] if stacked else 1

    @property
    def by_rllib_key(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """The spaces as `EnvRunner.get_spaces` returns them."""
        env_spaces = (self.observation, self.action)
        return {
            INPUT_ENV_SPACES: env_spaces,
            INPUT_ENV_SINGLE_SPACES: env_spaces,
            DEFAULT_MODULE_ID: (self.module_observation, self.action),
        }


@dataclass(frozen=True)
class Pipelines:
    """RLlib's own pipelines; RLlib merges, broadcasts and saves their state (statistics)."""

    to_module: EnvToModulePipeline
    to_env: ModuleToEnvPipeline


_IMAGE_AXES = 3
_STACKABLE = "only images of height x width x 1 can be stacked"


def build_pipelines(
    config: AlgorithmConfig, observation: gym.Space[Any], action: gym.Space[Any]
) -> Pipelines:
    """Returns the pipelines that a config asks for.

    Raises:
        ConfigError: RLlib's connectors do not accept these observations.
    """
    env_spaces = (observation, action)
    spaces = {INPUT_ENV_SPACES: env_spaces, INPUT_ENV_SINGLE_SPACES: env_spaces}
    try:
        to_module: Any = config.build_env_to_module_connector(env=None, spaces=spaces, device="cpu")
    except AssertionError as error:
        _refuse_starts(observation)
        raise ConfigError(
            f"the env-to-module connectors do not accept the observations {observation}: {error}; "
            f"{_STACKABLE}"
        ) from error
    if any(isinstance(connector, FlattenObservations) for connector in to_module.connectors):
        _refuse_starts(observation)
    to_env: Any = config.build_module_to_env_connector(env=None, spaces=spaces)
    return Pipelines(to_module, to_env)


def _refuse_starts(observation: gym.Space[Any]) -> None:
    """Raises ConfigError for indices that do not count from 0: RLlib flattens them wrongly."""
    if (found := leaf_with_start(observation, OBSERVATIONS)) is not None:
        path, leaf = found
        raise ConfigError(
            f"{path!r} is {leaf}, and RLlib's FlattenObservations ignores its start: count "
            "from 0 in the simulator, for instance with gymnasium.wrappers.TransformObservation"
        )


def module_spaces(
    pipelines: Pipelines, observation: gym.Space[Any], action: gym.Space[Any]
) -> ModuleSpaces:
    """Returns the spaces of a run, after its env-to-module connectors.

    Raises:
        ConfigError: a configured connector has no counterpart in the policy graph.
    """
    to_module, to_env = cast("Any", pipelines.to_module), cast("Any", pipelines.to_env)
    stages = [stage for connector in to_module.connectors if (stage := _stage_of(connector))]
    for connector in to_env.connectors:
        _stage_of(connector)
    stacks = any(isinstance(stage, FrameStackStage) for stage in stages)
    if stacks and len(to_module.observation_space.shape) != _IMAGE_AXES:
        raise ConfigError(f"RLlib cannot stack the observations {observation}: {_STACKABLE}")
    ranks = [_rank(stage) for stage in stages]
    if ranks != sorted(ranks):
        raise ConfigError(
            "put the env-to-module connectors in this order: FlattenObservations and "
            "PrevActionsPrevRewards, then MeanStdFilter, then FrameStackingEnvToModule"
        )
    _leave_flattening_to_the_learner(stages)
    return ModuleSpaces(observation, action, tuple(stages), to_module.observation_space)


def agent_module_spaces(
    pipelines: Pipelines, observation: gym.Space[Any], action: gym.Space[Any], module: str
) -> ModuleSpaces:
    """Returns the spaces of an agent for which `module` acts, after the connectors.

    Raises:
        ConfigError: a configured connector has no counterpart in the policy graph, or does not
            change each agent's observations separately.
    """
    to_module, to_env = cast("Any", pipelines.to_module), cast("Any", pipelines.to_env)
    stages: list[ObservationStage] = []
    for connector in (*to_module.connectors, *to_env.connectors):
        if isinstance(connector, FlattenObservations):
            stages.append(FlattenStage(FlattenObservations(observation, action)))
        elif not isinstance(connector, (*_PLUMBING, *_AGENT_PLUMBING)):
            raise ConfigError(
                f"with several agents, the connector {type(connector).__name__} cannot be put into "
                "the policy graphs that actors run. Supported are FlattenObservations and RLlib's "
                "defaults; do the work in the simulator, or in the RLModule"
            )
    _leave_flattening_to_the_learner(stages)
    return ModuleSpaces(observation, action, tuple(stages), to_module.observation_space[module])


def _leave_flattening_to_the_learner(stages: Sequence[ObservationStage]) -> None:
    """Has actors record smaller observations, unless others of their stages need flat ones."""
    recorded = [stage for stage in stages if stage.is_recorded]
    match recorded:
        case [FlattenStage() as flatten] if flatten.grows:
            flatten.is_recorded = False
        case _:
            pass


def _rank(stage: ObservationStage) -> int:
    """Orders recorded stages first, then those that the learner recomputes, then stacking."""
    return 2 if isinstance(stage, FrameStackStage) else int(not stage.is_recorded)


def _stage_of(connector: ConnectorV2) -> ObservationStage | None:
    """Returns the stage of a connector that changes observations; None for plumbing."""
    if isinstance(connector, _PLUMBING):
        return None
    stage = make_stage(connector)
    if stage is None:
        raise ConfigError(
            f"the connector {type(connector).__name__} cannot be put into the policy graph that "
            "actors run, and training would not match without it. Supported are "
            "FlattenObservations, PrevActionsPrevRewards, MeanStdFilter, FrameStacking and RLlib's "
            "defaults; do the work in the simulator (a Gymnasium wrapper), or in the RLModule, or "
            'run RLlib itself on the actors: policy = "rllib" here, --policy rllib there'
        )
    return stage
