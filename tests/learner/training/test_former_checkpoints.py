"""Checkpoints made before the modules that they name were moved."""

from __future__ import annotations

import importlib
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from headrace.learner import BrokerEnvRunner
from headrace.learner.training.connector_factories import EnvToModule, LearnerStacking
from headrace.learner.training.module_mapping import ModuleMapping
from headrace.learner.training.run_sections import LearnerSection

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).with_name("checkpoint-0.1.0.tar.gz")
"""PPO on CartPole from headrace 0.1.0 after two iterations, with a filter and flattening."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_an_algorithm_is_restored_from_a_checkpoint(checkpoint: Path, ray_session: None) -> None:
    algorithm = Algorithm.from_checkpoint(str(checkpoint))
    try:
        config: Any = algorithm.config
        assert isinstance(config, AlgorithmConfig)
        assert config.env_runner_cls is BrokerEnvRunner
        assert isinstance(algorithm.env_runner, BrokerEnvRunner)
        assert algorithm.iteration == 2
        connector: Any = vars(config)["_env_to_module_connector"]
        assert isinstance(connector, EnvToModule)
        assert isinstance(connector.section, LearnerSection)
        assert connector.section.observation_filter == "MeanStdFilter"
    finally:
        algorithm.stop()


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("headrace.learner.config", LearnerSection),
        ("headrace.learner.env_runner", BrokerEnvRunner),
        ("headrace.learner.module_mapping", ModuleMapping),
        ("headrace.learner.preprocessing", EnvToModule),
        ("headrace.learner.preprocessing", LearnerStacking),
    ],
)
def test_names_in_old_checkpoints_are_found(module: str, found: type) -> None:
    assert getattr(importlib.import_module(module), found.__name__) is found


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        importlib.import_module("headrace.learner.config").Nonsense  # noqa: B018
