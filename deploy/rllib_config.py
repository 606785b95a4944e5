"""The learner's AlgorithmConfig on an actor's host, for actors that act with RLlib itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.deploy.broker_places import learner_addresses
from headrace.deploy.run_file import read_run_file
from headrace.learner.training.importing import load_function
from headrace.learner.training.run_sections import LearnerRun
from headrace.protocol.errors import ConfigError, HeadraceError, first_line
from headrace.protocol.simulator_errors import FAULTS

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def load_rllib_config(source: str) -> AlgorithmConfig:
    """Returns the config that a run file describes, or that a function returns.

    Args:
        source: path of a TOML run file, or `module:function`; the module may be in the current
            folder.

    Raises:
        ConfigError: there is no such file or function, or it does not give an AlgorithmConfig.
    """
    if source.endswith(".toml"):
        return _of_run_file(Path(source))
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    make = load_function(source, "--rllib-config")
    try:
        config = make()
    except HeadraceError:
        raise
    except FAULTS as error:
        raise ConfigError(f"--rllib-config {source} fails: {first_line(error)}") from error
    if not isinstance(config, AlgorithmConfig):
        raise ConfigError(f"{source} returns {type(config).__name__}, not an AlgorithmConfig")
    return config


def _of_run_file(path: Path) -> AlgorithmConfig:
    run = read_run_file(path)
    from headrace.learner.training.algorithm_config import build_config

    return build_config(
        LearnerRun(
            run=run.run,
            environment=run.environment,
            learner=run.learner,
            addresses=learner_addresses(run.broker),
            folder="",
        )
    )
