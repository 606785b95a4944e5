"""A mistake that remote runners find reaches the process that makes the algorithm."""

from __future__ import annotations

import pytest
from ray.rllib.algorithms.ppo import PPOConfig

from headrace.learner import BrokerEnvRunner
from headrace.learner.runner.unknown_spaces import UnknownSpaces
from headrace.protocol.errors import ConfigError

pytestmark = [pytest.mark.rllib, pytest.mark.slow]


@pytest.mark.parametrize("has_local_runner", [True, False])
def test_a_typo_in_the_settings_of_remote_runners_is_named(has_local_runner: bool) -> None:
    config = (
        PPOConfig()
        .environment("CartPole-v1", env_config={"headrace": {"adress": "tcp://127.0.0.1:5555"}})
        .env_runners(
            env_runner_cls=BrokerEnvRunner,
            num_env_runners=1,
            create_local_env_runner=has_local_runner,
        )
    )
    with pytest.raises(ConfigError, match=r"unknown key 'adress'; did you mean 'address'\?"):
        config.build_algo()


def test_unknown_spaces_raise_their_error_wherever_they_are_used() -> None:
    spaces = UnknownSpaces(ConfigError("no such key"))
    for use in (lambda: spaces["default_policy"], lambda: list(spaces), lambda: len(spaces)):
        with pytest.raises(ConfigError, match="no such key"):
            use()
    assert "no such key" in repr(spaces)
