"""An RLlib EnvRunner that pulls trajectories from a broker instead of stepping environments."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections import Counter
from collections.abc import Collection
from typing import Any, cast

import gymnasium as gym
import msgspec
import ray
import zmq
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger
from ray.tune.registry import (  # RLlib's own runners read it, and there is no public way
    ENV_CREATOR,
    _global_registry,  # pyright: ignore[reportPrivateUsage]
)

from headrace.learner.config import RunnerConfig
from headrace.learner.connectors import ModuleSpaces, module_spaces
from headrace.learner.episodes import make_episode
from headrace.learner.link import BrokerLink
from headrace.learner.publisher import WeightsPublisher
from headrace.learner.sample_metrics import SampleMetrics
from headrace.learner.session import LearnerIdentity
from headrace.protocol.errors import ConfigError
from headrace.protocol.trajectory import unpack_batch

CONFIG_KEY = "headrace"
"""The key of `env_config` under which an RLlib script passes `RunnerConfig`."""


class BrokerEnvRunner(EnvRunner, Checkpointable):
    """Samples from a fleet of simulators that RLlib neither starts nor steps.

    Use it with `config.env_runners(env_runner_cls=BrokerEnvRunner)`; the broker's address and more
    go into `config.environment(env_config={"headrace": {"address": "tcp://…"}})`. Nothing connects
    before the first `sample()`, so a runner that nobody samples is silent.
    """

    def __init__(self, *, config: AlgorithmConfig, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        self.worker_index: int = kwargs.get("worker_index") or 0
        self.metrics = MetricsLogger(
            stats_cls_lookup=cast("Any", config.stats_cls_lookup), root=False
        )
        self.num_env_steps_sampled_lifetime = 0
        self._log_dir: str = kwargs.get("log_dir") or ""
        self._runner_config = _runner_config(config)
        if config.in_evaluation:
            raise ConfigError(
                "actors do not serve evaluation yet; evaluate in RLlib's own runner with "
                "config.evaluation(evaluation_config=config.overrides("
                "env='CartPole-v1', env_runner_cls=SingleAgentEnvRunner))"
            )
        if config.is_multi_agent:
            raise ConfigError("multi-agent training through the broker is not supported yet")
        self._spaces = self._find_spaces()
        spec = config.get_rl_module_spec(spaces=self._spaces.by_rllib_key, inference_only=True)
        self.module = cast("TorchRLModule", spec.build())
        self._weights_seq_no = 0
        self._env_runner_state_server: Any = None
        self._sampled = SampleMetrics(self.metrics, config)
        self._publisher = WeightsPublisher(self.module, self._spaces, config, self._runner_config)
        self._link: BrokerLink | None = None

    # ---------------------------------------------------------------- sampling

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        **_: Any,
    ) -> list[SingleAgentEpisode]:
        """Returns what the fleet sampled: at least one fragment, or less when time is up.

        First confirms what the previous call returned, and publishes the newest weights.

        Raises:
            LearnerStopping: `interrupt` was called.
            RefusedError: the broker serves another learner, or does not know this wire version.
            ConfigError: RLlib asks for an evaluation, which actors do not serve.
        """
        if num_episodes is not None:
            raise ConfigError(
                "RLlib asks this runner for whole episodes, as an evaluation does; evaluate with "
                "evaluation_config=config.overrides(env_runner_cls=SingleAgentEnvRunner)"
            )
        link = self._connect()
        link.confirm()
        self._publisher.publish_if_newer(link, self._weights_seq_no)
        wanted = num_timesteps or (
            self.config.get_rollout_fragment_length(self.worker_index)
            * (self.config.num_envs_per_env_runner or 1)
        )
        started_s = time.monotonic()
        batches = link.take(wanted, self._runner_config.pull_timeout_s)
        self._sampled.log_wait(time.monotonic() - started_s)
        episodes: list[SingleAgentEpisode] = []
        for batch in batches:
            for chunk in unpack_batch(batch.payload):
                episodes.append(
                    make_episode(
                        chunk,
                        self._spaces.module_observation,
                        self._spaces.action,
                        batch.lease.version.number,
                    )
                )
                self._sampled.log_chunk(chunk)
            self._sampled.log_batch(batch.lease)
        self.num_env_steps_sampled_lifetime += self._sampled.finish(link.report)
        return episodes

    def get_metrics(self) -> Any:
        """Returns RLlib's metrics, with headrace's own under `headrace`."""
        return self.metrics.reduce()

    def interrupt(self) -> None:
        """Makes `sample()` raise LearnerStopping, now and from now on; from any thread."""
        self._connect().interrupt()

    @property
    def steps_by_lag(self) -> Counter[int]:
        """Env steps that were handed to training, by the policy lag of their batch."""
        return self._sampled.lifetime_steps_by_lag

    @property
    def link(self) -> BrokerLink:
        """The connection to the broker; opened by this if nothing was sampled yet."""
        return self._connect()

    def stop(self) -> None:
        """Says goodbye to the broker."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def assert_healthy(self) -> None:
        """Does nothing: a runner that was constructed is healthy, connected or not."""

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """Returns the spaces of the simulator and of the module."""
        return self._spaces.by_rllib_key

    # ---------------------------------------------------------------- state

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the module's weights with their number, and the count of sampled steps."""
        state: dict[str, Any] = {
            NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime
        }
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(
                components=self._get_subcomponents(COMPONENT_RL_MODULE, components),
                not_components=self._get_subcomponents(COMPONENT_RL_MODULE, not_components),
                **kwargs,
            )
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Stores weights that are newer, or whose number says to force them.

        They are published by the next `sample()`, never here: a restore calls this with initial
        weights first.
        """
        if COMPONENT_RL_MODULE in state:
            number = state.get(WEIGHTS_SEQ_NO, 0)
            if number == 0 or number != self._weights_seq_no:
                weights = state[COMPONENT_RL_MODULE]
                if isinstance(weights, ray.ObjectRef):
                    weights = ray.get(weights)
                if isinstance(weights, dict) and DEFAULT_MODULE_ID in weights:
                    weights = weights[DEFAULT_MODULE_ID]
                self.module.set_state(weights)
            if number > 0:
                self._weights_seq_no = number
        steps = state.get(NUM_ENV_STEPS_SAMPLED_LIFETIME)
        if steps is not None:
            self.num_env_steps_sampled_lifetime = steps

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns what RLlib constructs a restored runner with."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """Returns the module."""
        return [(COMPONENT_RL_MODULE, self.module)]

    # ---------------------------------------------------------------- inside

    def _connect(self) -> BrokerLink:
        if self._link is None:
            config = self._runner_config
            identity = LearnerIdentity(
                learner_run=self._learner_run(),
                worker_index=self.worker_index,
                run=config.run,
                host=socket.gethostname(),
                takeover=config.takeover,
                newest_epoch=config.newest_epoch,
            )
            self._link = BrokerLink(config.address, identity, zmq.Context.instance())
        return self._link

    def _learner_run(self) -> str:
        """Equal for all runners of one Algorithm and their restarts, and for nothing else."""
        job = ray.get_runtime_context().get_job_id() if ray.is_initialized() else str(os.getpid())
        return hashlib.sha256(f"{job} {self._log_dir}".encode()).hexdigest()[:32]

    def _find_spaces(self) -> ModuleSpaces:
        observation, action = self.config.observation_space, self.config.action_space
        if observation is None or action is None:
            observation, action = _spaces_of_env(self.config)
        return module_spaces(self.config, observation, action)


def _runner_config(config: AlgorithmConfig) -> RunnerConfig:
    try:
        return msgspec.convert(config.env_config.get(CONFIG_KEY, {}), RunnerConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"env_config[{CONFIG_KEY!r}]: {error}") from error


def _spaces_of_env(config: AlgorithmConfig) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Makes the configured environment once, only to ask for its spaces."""
    if config.env is None:
        raise ConfigError(
            "tell the learner what its simulators observe and do: "
            ".environment(observation_space=…, action_space=…), or a Gymnasium id"
        )
    kwargs = environment_kwargs(config)
    if isinstance(config.env, str) and _global_registry.contains(ENV_CREATOR, config.env):
        env = _global_registry.get(ENV_CREATOR, config.env)(kwargs)
    elif isinstance(config.env, str):
        env = gym.make(config.env, **kwargs)
    else:
        env = cast("Any", config.env)(kwargs)
    spaces = (env.observation_space, env.action_space)
    env.close()
    return spaces


def environment_kwargs(config: AlgorithmConfig) -> dict[str, Any]:
    """Returns what of `env_config` is for the environment."""
    return {key: value for key, value in config.env_config.items() if key != CONFIG_KEY}
