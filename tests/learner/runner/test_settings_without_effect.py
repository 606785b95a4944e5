"""RLlib's settings that have no effect here are refused; the table is complete."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.callbacks.callbacks import RLlibCallback

from headrace.learner.runner.environment_values import plain_config
from headrace.learner.runner.settings_without_effect import (
    WITHOUT_EFFECT,
    refuse_settings_without_effect,
)
from headrace.protocol.errors import ConfigError

OTHER: dict[str, Any] = {
    "batch_mode": "complete_episodes",
    "compress_observations": True,
    "count_steps_by": "agent_steps",
    "episodes_to_numpy": False,
    "evaluation_force_reset_envs_before_iteration": False,
    "gym_env_vectorize_mode": "async",
    "observation_filter": "MeanStdFilter",
    "output": "out",
    "preprocessor_pref": None,
    "remote_env_batch_wait_ms": 5,
    "update_worker_filter_stats": False,
    "use_worker_filter_stats": False,
}
"""Values that are not the default; True for all other settings."""


@pytest.mark.parametrize("kind", [PPOConfig, APPOConfig, IMPALAConfig, DQNConfig, SACConfig])
def test_every_algorithms_defaults_are_accepted(kind: Any) -> None:
    refuse_settings_without_effect(kind())


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_a_setting_without_effect_is_refused_with_what_to_do_instead(name: str) -> None:
    config: Any = PPOConfig()
    assert hasattr(config, name), "RLlib has no such setting"
    setattr(config, name, OTHER.get(name, True))
    with pytest.raises(ConfigError) as raised:
        refuse_settings_without_effect(config)
    assert str(raised.value).startswith(f"{name} = ")
    assert WITHOUT_EFFECT[name] in str(raised.value)


def test_what_rllib_derives_for_evaluation_is_not_refused() -> None:
    config = PPOConfig().env_runners(batch_mode="complete_episodes")
    config.in_evaluation = True
    refuse_settings_without_effect(config)


def test_callbacks_that_are_never_called_are_named(caplog: pytest.LogCaptureFixture) -> None:
    class Steps(RLlibCallback):
        def on_episode_step(self, **_: Any) -> None:
            """Is never called."""

        def on_episode_end(self, **_: Any) -> None:
            """Is called."""

    refuse_settings_without_effect(PPOConfig().callbacks(Steps))
    [said] = [record.getMessage() for record in caplog.records]
    assert said == "on_episode_step of Steps will not be called: simulators step elsewhere"


def test_nested_plain_values_of_an_env_config_are_kept() -> None:
    given = {
        "lanes": [3, 4, 5],
        "traffic": {"density": 0.5, "kinds": ("car", "bus")},
        "seed": np.int64(3),
        "scale": np.float32(0.5),
        "is_wet": np.bool_(True),
        "curve": np.array([[1, 2], [3, 4]]),
        "steps": range(3),
        "name": None,
        "headrace": {"address": "tcp://127.0.0.1:5555"},
    }
    assert plain_config(given) == {
        "lanes": [3, 4, 5],
        "traffic": {"density": 0.5, "kinds": ["car", "bus"]},
        "seed": 3,
        "scale": 0.5,
        "is_wet": True,
        "curve": [[1, 2], [3, 4]],
        "steps": [0, 1, 2],
        "name": None,
    }


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"callback": print}, "env_config['a']['callback'] is builtin_function_or_method"),
        ([1, {2, 3}], "env_config['a'][1] is set"),
        (b"bytes", "env_config['a'] is bytes"),
        ({1: 2}, "env_config['a'] has the key 1"),
        (2**70, "is beyond 64 bits"),
        (1j, "env_config['a'] is complex"),
    ],
)
def test_a_value_that_cannot_travel_is_named_by_its_key(value: Any, named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        plain_config({"a": value})
    assert named in str(raised.value)
