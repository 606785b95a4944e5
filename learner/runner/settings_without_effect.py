"""Settings of RLlib's config that have no effect on samples that come through a broker."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils import force_list

from headrace.protocol.errors import ConfigError, shortened

_LOG = logging.getLogger("headrace.learner")

_OLD_STACK = "RLlib's new API stack ignores it"
_NO_ENVIRONMENT = "the learner steps no environment; actors do"
_CONNECTOR = "use an env-to-module connector instead"

WITHOUT_EFFECT: Mapping[str, str] = {
    "batch_mode": "batches are cut by steps, and an episode continues across them",
    "callbacks_on_environment_created": _NO_ENVIRONMENT,
    "callbacks_on_episode_created": "episodes begin on the actors",
    "callbacks_on_episode_start": "episodes begin on the actors",
    "callbacks_on_episode_step": "actors take the steps; use on_episode_end",
    "clip_rewards": f"{_OLD_STACK}; clip rewards in the simulator",
    "compress_observations": 'set env_config={"headrace": {"compression": "lz4"}} instead',
    "count_steps_by": "steps are counted as env_steps",
    "create_env_on_local_worker": _NO_ENVIRONMENT,
    "episodes_to_numpy": "episodes always come as arrays",
    "evaluation_force_reset_envs_before_iteration": "every evaluation runs whole episodes",
    "exploration_config": f"{_OLD_STACK}; explore in the RLModule",
    "fake_sampler": _OLD_STACK,
    "gym_env_vectorize_mode": f"{_NO_ENVIRONMENT}: headrace actor --environments",
    "observation_filter": f"{_OLD_STACK}; {_CONNECTOR}: MeanStdFilter",
    "observation_fn": f"{_OLD_STACK}; {_CONNECTOR}",
    "off_policy_estimation_methods": _OLD_STACK,
    "output": "record with the broker's --journal instead",
    "policy_states_are_swappable": _OLD_STACK,
    "preprocessor_pref": f"{_OLD_STACK}; {_CONNECTOR}",
    "remote_env_batch_wait_ms": _NO_ENVIRONMENT,
    "remote_worker_envs": f"{_NO_ENVIRONMENT}: headrace actor --env-timeout-s",
    "render_env": _NO_ENVIRONMENT,
    "restart_failed_sub_environments": "actors recreate simulators that fail",
    "sample_collector": _OLD_STACK,
    "update_worker_filter_stats": f"{_OLD_STACK}; see merge_env_runner_states",
    "use_worker_filter_stats": f"{_OLD_STACK}; see broadcast_env_runner_states",
}
"""Why, and what to do instead, by name of the setting."""

UNCALLED = (
    "on_environment_created",
    "on_episode_created",
    "on_episode_start",
    "on_episode_step",
)
"""Callbacks that are never called."""


def refuse_settings_without_effect(config: AlgorithmConfig) -> None:
    """Compares a config with its defaults.

    A callbacks class may have methods that are never called, since it may be used elsewhere too:
    these are logged.

    Raises:
        ConfigError: a setting would be ignored; the message says what to do instead.
    """
    if config.in_evaluation:
        return  # RLlib has changed what it derives for evaluation runners
    default = type(config)()
    for name, reason in WITHOUT_EFFECT.items():
        given = getattr(config, name, None)
        if _differs(given, getattr(default, name, None)):
            raise ConfigError(
                f"{name} = {shortened(repr(given))} has no effect here: {reason}. Leave it at its "
                "default"
            )
    for kind in force_list(config.callbacks_class):
        uncalled = [name for name in UNCALLED if _is_own(kind, name)]
        if uncalled:
            _LOG.warning(
                "%s of %s will not be called: simulators step elsewhere",
                ", ".join(uncalled),
                getattr(kind, "__name__", kind),
            )


def _differs(given: Any, default: Any) -> bool:
    try:
        return bool(given != default)
    except ValueError:  # arrays
        return True


def _is_own(kind: Any, name: str) -> bool:
    return getattr(kind, name, None) is not getattr(RLlibCallback, name, None)
