"""Collecting with RLlib's own runner, connectors and module, for policies that are no graph.

Needs Ray and torch on the simulator's host. Connectors keep their state on each actor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO

from headrace.actors.connection.client import BatchPermit, Client
from headrace.actors.connection.session import PolicyUpdate
from headrace.actors.rllib.episode_batch import EpisodeBatch
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.policy_graph import ENV_STEPS, EXPLORE

_LOOK_FOR_STOP_S = 0.2
_LEARNERS_KEY = "headrace"
"""The part of `env_config` that is for the learner's runner."""

Clock = Callable[[], float]


class RLlibCollector:
    """Steps an environment as RLlib does, within credit."""

    def __init__(
        self,
        client: Client,
        config: AlgorithmConfig,
        *,
        environments: int = 1,
        clock: Clock = time.monotonic,
    ) -> None:
        """Makes the environment.

        Args:
            config: the learner's; its runner class is replaced by RLlib's own.
        """
        self._client = client
        self._clock = clock
        self._environments = environments
        self._runner = SingleAgentEnvRunner(config=_own_config(config, environments))
        self._version: PolicyVersion | None = None

    def run(self, stop: threading.Event) -> None:
        """Collects until `stop` is set.

        Raises:
            ConfigError: the learner's policy is not the configured one.
            RefusedError: the broker will not serve this actor.
        """
        batch = EpisodeBatch(self._clock)
        while not stop.is_set():
            permit = self._client.begin(_LOOK_FOR_STOP_S)
            if permit is not None and permit.credit is not None:
                self._collect(permit, batch)

    def close(self) -> None:
        """Closes the environment."""
        self._runner.stop()

    def _collect(self, permit: BatchPermit, batch: EpisodeBatch) -> None:
        update, credit = permit.update, permit.credit
        if credit is None:
            return
        self._use(update)
        manifest = update.policy.manifest
        module = manifest.modules[DEFAULT_MODULE]
        deadline_s = self._clock() + credit.fragment_s
        explores = bool(module.graph.scalars.get(EXPLORE, 1.0))
        while True:
            pieces = self._runner.sample(num_timesteps=self._environments, explore=explores)
            for piece in pieces:
                batch.add(piece)
            is_cut = manifest.flow.cut_on_new_weights and (
                self._client.newest_version != update.version
            )
            if batch.env_steps and (
                is_cut or batch.env_steps >= credit.fragment_steps or self._clock() >= deadline_s
            ):
                break
        self._runner.get_metrics()  # what it keeps for them grows until somebody asks
        env_steps = batch.env_steps
        self._client.push(batch.take(module), update, env_steps)

    def _use(self, update: PolicyUpdate) -> None:
        if update.version == self._version:
            return
        if update.policy.graphs.get(DEFAULT_MODULE) != b"":
            raise ConfigError(
                "this learner's policy is a graph: leave out --policy rllib, or say "
                'policy = "rllib" to the learner'
            )
        weights: dict[str, Any] = dict(update.weights[DEFAULT_MODULE])
        env_steps = int(weights.pop(ENV_STEPS)[0])
        try:
            self._runner.set_state(
                {
                    COMPONENT_RL_MODULE: {DEFAULT_MODULE_ID: weights},
                    WEIGHTS_SEQ_NO: 0,  # to be set whatever was before
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps,
                }
            )
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"the learner's weights do not fit the configured module: {error}"
            ) from error
        self._version = update.version


def _own_config(config: AlgorithmConfig, environments: int) -> AlgorithmConfig:
    own = config.copy(copy_frozen=False)
    env_config = {key: value for key, value in own.env_config.items() if key != _LEARNERS_KEY}
    own.environment(env_config=env_config)
    own.env_config = env_config  # `environment` merges, and would keep the learner's part
    return own.env_runners(
        env_runner_cls=SingleAgentEnvRunner,
        num_env_runners=0,
        num_envs_per_env_runner=environments,
        batch_mode="truncate_episodes",
        episodes_to_numpy=False,
    )
