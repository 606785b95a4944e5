"""The learner's config on an actor's host."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray.rllib.algorithms.ppo import PPOConfig

from headrace.deploy.rllib_config import load_rllib_config
from headrace.protocol.errors import ConfigError

pytestmark = pytest.mark.rllib

RUN = """
[run]
name = "squares"
[environment]
id = "CartPole-v1"
[learner]
policy = "rllib"
training = { lr = 0.125 }
"""


def test_a_run_file_describes_the_learners_config(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN)
    config = load_rllib_config(str(path))
    assert (config.env, config.lr) == ("CartPole-v1", 0.125)


def test_a_function_returns_the_learners_config() -> None:
    assert isinstance(load_rllib_config("support.rllib_policy:make_config"), PPOConfig)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.toml", "cannot read"),
        ("support.rllib_policy", "module:function"),
        ("support.no_such_module:make", "no_such_module"),
        ("support.rllib_policy:no_such_function", "no_such_function"),
        ("support.rllib_policy:make_nothing", "NoneType"),
    ],
)
def test_a_source_without_a_config_is_an_error(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_rllib_config(source)
