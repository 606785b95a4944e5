"""Which of RLlib's connectors a run uses, and whether the policy graph can stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.connectors.common import (
    AddObservationsFromEpisodesToBatch,
    AddStatesFromEpisodesToBatch,
    AddTimeDimToBatchAndZeroPad,
    BatchIndividualItems,
    NumpyToTensor,
    TensorToNumpy,
)
from ray.rllib.connectors.common.flatten_observations import FlattenObservations
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.module_to_env import (
    GetActions,
    ListifyDataForVectorEnv,
    NormalizeAndClipActions,
    RemoveSingleTsTimeRankFromBatch,
    UnBatchToIndividualItems,
)
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES

from headrace.protocol.errors import ConfigError

# What these do to a batch, the graph and the columns of the wire do by construction.
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


@dataclass(frozen=True)
class ModuleSpaces:
    """What a simulator gives and takes, and what the module sees.

    Attributes:
        flattens: whether observations are flattened to one vector before the module.
    """

    observation: gym.Space[Any]
    action: gym.Space[Any]
    module_observation: gym.Space[Any]
    flattens: bool

    @property
    def by_rllib_key(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """The spaces as `EnvRunner.get_spaces` returns them."""
        env_spaces = (self.observation, self.action)
        return {
            INPUT_ENV_SPACES: env_spaces,
            INPUT_ENV_SINGLE_SPACES: env_spaces,
            DEFAULT_MODULE_ID: (self.module_observation, self.action),
        }


def module_spaces(
    config: AlgorithmConfig, observation: gym.Space[Any], action: gym.Space[Any]
) -> ModuleSpaces:
    """Returns the spaces of a run, after its env-to-module connectors.

    Raises:
        ConfigError: a configured connector has no counterpart in the policy graph.
    """
    env_spaces = (observation, action)
    spaces = {INPUT_ENV_SPACES: env_spaces, INPUT_ENV_SINGLE_SPACES: env_spaces}
    to_module: Any = config.build_env_to_module_connector(env=None, spaces=spaces, device="cpu")
    to_env: Any = config.build_module_to_env_connector(env=None, spaces=spaces)
    flattens = any(_check(connector) for connector in to_module.connectors)
    for connector in to_env.connectors:
        _check(connector)
    return ModuleSpaces(observation, action, to_module.observation_space, flattens)


def _check(connector: ConnectorV2) -> bool:
    """Returns whether a connector flattens; plumbing passes."""
    if isinstance(connector, FlattenObservations):
        return True
    if isinstance(connector, _PLUMBING):
        return False
    raise ConfigError(
        f"the connector {type(connector).__name__} cannot be put into the policy graph that actors "
        "run, and leaving it out would train on something else. Known are FlattenObservations and "
        "RLlib's defaults; do the work in the simulator (a Gymnasium wrapper), or in the RLModule"
    )
