"""An RLlib EnvRunner that pulls trajectories from a broker instead of stepping environments."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
import socket
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import msgspec
import ray
import zmq
from ray.actor import exit_actor
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import (
    COMPONENT_ENV_TO_MODULE_CONNECTOR,
    COMPONENT_MODULE_TO_ENV_CONNECTOR,
    COMPONENT_RL_MODULE,
    DEFAULT_MODULE_ID,
)
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

from headrace.learner.acting import GraphActing, RLlibActing
from headrace.learner.callbacks import SampleCallbacks
from headrace.learner.collection import paused_collection
from headrace.learner.config import RunnerConfig
from headrace.learner.connectors import build_pipelines
from headrace.learner.continuity import EpisodeNames
from headrace.learner.episodes import EpisodeMaker
from headrace.learner.joining import join_chunks
from headrace.learner.link import BrokerLink, LearnerStopping
from headrace.learner.module_weights import ModuleWeights
from headrace.learner.publisher import WeightsPublisher
from headrace.learner.sample_metrics import SampleMetrics
from headrace.learner.sampling import fragment_env_steps, sampling_of
from headrace.learner.session import LearnerIdentity
from headrace.learner.statistics import ObservationFilter
from headrace.learner.stock import ChunkStock, StockedChunk
from headrace.protocol.endpoints import DEFAULT_ADDRESS
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import load_invitation
from headrace.protocol.messages import FleetReport, Purpose
from headrace.protocol.trajectory import unpack_batch

_LOG = logging.getLogger("headrace.learner")

CONFIG_KEY = "headrace"
"""The key of `env_config` under which an RLlib script passes `RunnerConfig`."""


_ACTING = {"graph": GraphActing, "rllib": RLlibActing}


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
        self._runner_config = runner_config_of(config)
        if config.is_multi_agent:
            raise ConfigError("multi-agent training through the broker is not supported yet")
        observation, action = _spaces_of(config)
        pipelines = build_pipelines(config, observation, action)
        self._env_to_module, self._module_to_env = pipelines.to_module, pipelines.to_env
        acting_class = _ACTING[self._runner_config.policy]
        acting = acting_class(config, pipelines, observation, action)
        self._spaces = acting.spaces
        stage = self._spaces.filter
        self._episodes = EpisodeMaker(self._spaces.episode_observation, action)
        self._names = EpisodeNames()
        self._filter = ObservationFilter(pipelines.to_module, stage) if stage else None
        spec = config.get_rl_module_spec(spaces=self._spaces.by_rllib_key, inference_only=True)
        self._weights = ModuleWeights(cast("TorchRLModule", spec.build()))
        self._weights_seq_no = 0
        self._weights_are_published = False
        self._published_at_s = float("-inf")
        self._env_runner_state_server: Any = None
        self._sampled = SampleMetrics(self.metrics, config)
        self._callbacks = SampleCallbacks(config)
        self._report: FleetReport | None = None
        self._sampling = sampling_of(config, self._runner_config)
        self._publisher = WeightsPublisher(
            self._weights, acting, config, self._runner_config.run, self._sampling.flow
        )
        self._stock: ChunkStock | None = None
        self._link: BrokerLink | None = None
        self._evaluation_link: BrokerLink | None = None
        self._is_interrupted = False

    # ---------------------------------------------------------------- sampling

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        **_: Any,
    ) -> list[SingleAgentEpisode]:
        """Returns what the fleet sampled, as much of it as the algorithm counts on.

        First confirms what the previous call returned, and publishes the newest weights. While no
        data comes it says every 10 s what it waits for; PPO, DQN and SAC get an empty list after
        `pull_timeout_s` and ask again, IMPALA and APPO wait on.

        Args:
            num_timesteps, num_episodes: an evaluation of at least so much; RLlib gives neither when
                it trains. Actors run whole episodes, greedily, with these weights or newer ones.

        Raises:
            LearnerStopping: the run is to end.
            RefusedError: the broker serves another learner, or does not know this wire version.
        """
        if self.config.in_evaluation or num_episodes is not None or num_timesteps is not None:
            return self._evaluate(num_episodes, num_timesteps)
        self._pull_newest_state()
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)
        link = self._connect()
        stock = self._stock = self._stock or ChunkStock(self._publisher.exported.manifest.lookback)
        self.confirm()
        started_s = time.monotonic()
        self._publish_if_due(link, started_s)
        wanted = fragment_env_steps(self.config, self.worker_index)
        try:
            taken = self._sampling.take(link, stock, wanted, self._runner_config.pull_timeout_s)
        except LearnerStopping:
            if self.worker_index > 0:
                # RLlib answers an exception of a remote runner by waiting a minute to restart it.
                exit_actor()
            raise
        self._sampled.log_wait(time.monotonic() - started_s)
        for stocked in taken:
            self._sampled.log_chunk(stocked.chunk, stocked.lease)
        with paused_collection():
            episodes = [self._make_episode(stocked) for stocked in join_chunks(taken)]
        self._report = link.report
        self.num_env_steps_sampled_lifetime += sum(stocked.chunk.length for stocked in taken)
        self._callbacks.sampled(self, episodes)
        return episodes

    def _make_episode(self, stocked: StockedChunk) -> SingleAgentEpisode:
        chunk, number = stocked.chunk, stocked.lease.version.number
        if self._filter is not None:
            chunk = dataclasses.replace(chunk, columns=self._filter.take(chunk, number))
        return self._episodes.make(chunk, number, self._names.name(chunk))

    def _publish_if_due(self, link: BrokerLink, now_s: float) -> None:
        """Not in `set_state`: a restore calls that with initial weights first."""
        is_early = now_s - self._published_at_s < self._sampling.publish_interval_s
        if self._weights_are_published or is_early:
            return
        self._publish(link)
        self._weights_are_published = True
        self._published_at_s = now_s

    def _publish(self, link: BrokerLink) -> None:
        number = self._weights_seq_no
        statistics = self._filter.tensors(number) if self._filter is not None else {}
        self._publisher.publish(link, number, self.num_env_steps_sampled_lifetime, statistics)

    def _evaluate(self, episodes: int | None, env_steps: int | None) -> list[SingleAgentEpisode]:
        """Has actors run whole episodes until there are so many, or of so many env steps."""
        link = self._connect_evaluation()
        self._publish(link)
        evaluated: list[SingleAgentEpisode] = []
        left = episodes or 1
        while left > 0:
            for batch in link.evaluate(left):
                for chunk in unpack_batch(batch.payload):
                    self._sampled.log_chunk(chunk, batch.lease)
                    evaluated.append(self._make_episode(StockedChunk(chunk, batch.lease)))
            sampled = sum(len(episode) for episode in evaluated)
            missing = (env_steps or 0) - sampled
            left = math.ceil(missing * len(evaluated) / sampled)
        self._report = link.report
        self._callbacks.sampled(self, evaluated)
        return evaluated

    def _pull_newest_state(self) -> None:
        """Asks RLlib's EnvRunnerStateServer, as its own runners do; IMPALA pushes nothing else."""
        server = self._env_runner_state_server
        if server is None:
            return
        try:
            state: Any = ray.get(server.pull_if_newer.remote(self._weights_seq_no))
        except RayError as error:
            _LOG.warning("goes on with version %d: %s", self._weights_seq_no, error)
            return
        if state is not None:
            self.set_state(state)

    def get_metrics(self) -> Any:
        """Returns RLlib's metrics, with headrace's own under `headrace`."""
        self._sampled.flush(self._report)
        return self.metrics.reduce()

    def confirm(self) -> None:
        """Tells the broker that training has what `sample()` returned; the next one does so too."""
        if self._stock is not None and self._stock.finished is not None:
            self._connect().confirm(self._stock.finished)

    def interrupt(self) -> None:
        """Makes `sample()` raise LearnerStopping, now and from now on; from any thread."""
        self._is_interrupted = True
        self._connect().interrupt()
        if self._evaluation_link is not None:
            self._evaluation_link.interrupt()

    @property
    def link(self) -> BrokerLink:
        """The connection to the broker; opened by this if nothing was sampled yet."""
        return self._connect()

    def stop(self) -> None:
        """Says goodbye to the broker."""
        for link in (self._link, self._evaluation_link):
            if link is not None:
                link.close()
        self._link = self._evaluation_link = None

    def assert_healthy(self) -> None:
        """Does nothing: a runner that was constructed is healthy, connected or not."""

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """Returns the spaces of the simulator and of the module."""
        return self._spaces.by_rllib_key

    # ---------------------------------------------------------------- state

    @property
    def module(self) -> TorchRLModule:
        """The module with the newest weights; nothing here acts with it."""
        return self._weights.module

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the module's weights with their number, connectors' state, and sampled steps."""
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
        for name, pipeline in self._pipelines:
            if self._check_component(name, components, not_components):
                state[name] = pipeline.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Stores weights that are newer, or whose number says to force them, for `sample()`."""
        for name, pipeline in self._pipelines:
            if name in state:
                pipeline.set_state(state[name])
        if COMPONENT_RL_MODULE in state:
            self._set_weights(state[COMPONENT_RL_MODULE], state.get(WEIGHTS_SEQ_NO, 0))
        steps = state.get(NUM_ENV_STEPS_SAMPLED_LIFETIME)
        if steps is not None:
            self.num_env_steps_sampled_lifetime = steps

    def _set_weights(self, weights: Any, number: int) -> None:
        if number > 0 and number == self._weights_seq_no:
            return
        if isinstance(weights, ray.ObjectRef):
            weights = ray.get(weights)
        if isinstance(weights, dict) and DEFAULT_MODULE_ID in weights:
            weights = weights[DEFAULT_MODULE_ID]
        self._weights.set(weights)
        self._weights_are_published = False
        if number > 0:
            self._weights_seq_no = number
        if self._filter is not None:
            self._filter.remember(self._weights_seq_no)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns what RLlib constructs a restored runner with."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """Returns the module and the connector pipelines."""
        return [(COMPONENT_RL_MODULE, self.module), *self._pipelines]

    # ---------------------------------------------------------------- inside

    @property
    def _pipelines(self) -> tuple[tuple[str, Any], ...]:
        return (
            (COMPONENT_ENV_TO_MODULE_CONNECTOR, self._env_to_module),
            (COMPONENT_MODULE_TO_ENV_CONNECTOR, self._module_to_env),
        )

    def _connect(self) -> BrokerLink:
        if self._link is None:
            self._link = open_link(self._runner_config, self._log_dir, self.worker_index)
        return self._link

    def _connect_evaluation(self) -> BrokerLink:
        """A session of its own, since what it is leased has nothing to do with training."""
        if self._evaluation_link is None:
            self._evaluation_link = open_link(
                self._runner_config, self._log_dir, self.worker_index, purpose="evaluate"
            )
            if self._is_interrupted:
                self._evaluation_link.interrupt()
        return self._evaluation_link


def open_link(
    config: RunnerConfig, log_dir: str, worker_index: int = 0, purpose: Purpose = "train"
) -> BrokerLink:
    """Connects a runner, or the driver of an Algorithm without a local one, to the broker."""
    job = ray.get_runtime_context().get_job_id() if ray.is_initialized() else str(os.getpid())
    identity = LearnerIdentity(
        # Equal for all runners of one Algorithm and their restarts, and for nothing else.
        learner_run=hashlib.sha256(f"{job} {log_dir}".encode()).hexdigest()[:32],
        worker_index=worker_index,
        run=config.run,
        host=socket.gethostname(),
        takeover=config.takeover,
        newest_epoch=config.newest_epoch,
        purpose=purpose,
    )
    invitation = load_invitation(Path(config.join), "learner") if config.join else None
    address = config.address or (invitation.address if invitation else DEFAULT_ADDRESS)
    return BrokerLink(address, identity, zmq.Context.instance(), invitation=invitation)


def runner_config_of(config: AlgorithmConfig) -> RunnerConfig:
    """Returns headrace's part of `env_config`.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    try:
        return msgspec.convert(config.env_config.get(CONFIG_KEY, {}), RunnerConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"env_config[{CONFIG_KEY!r}]: {error}") from error


def _spaces_of(config: AlgorithmConfig) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Returns the configured spaces, or those of the configured environment, made only to ask."""
    if config.observation_space is not None and config.action_space is not None:
        return config.observation_space, config.action_space
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
