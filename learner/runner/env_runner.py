"""An RLlib EnvRunner that pulls trajectories from a broker instead of stepping environments."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any, cast

import gymnasium as gym
import ray
from ray.actor import exit_actor
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import (
    COMPONENT_ENV_TO_MODULE_CONNECTOR,
    COMPONENT_MODULE_TO_ENV_CONNECTOR,
    COMPONENT_RL_MODULE,
)
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from headrace.learner.connection.link import BrokerLink, LearnerStopping
from headrace.learner.connection.open_link import open_link, targets_of
from headrace.learner.episodes.gc_pause import paused_gc
from headrace.learner.episodes.segment_buffer import SegmentBuffer
from headrace.learner.episodes.segment_joining import join_segments
from headrace.learner.runner.agent_setup import AgentSetup
from headrace.learner.runner.callbacks import SampleCallbacks
from headrace.learner.runner.evaluation import EvaluationSampler
from headrace.learner.runner.multi_agent_setup import MultiAgentSetup
from headrace.learner.runner.publisher import WeightsPublisher
from headrace.learner.runner.runner_config import runner_config_of
from headrace.learner.runner.sample_metrics import SampleMetrics
from headrace.learner.runner.sampling import make_request, sampling_of
from headrace.learner.runner.settings_without_effect import refuse_settings_without_effect
from headrace.learner.runner.single_agent_setup import SingleAgentSetup
from headrace.learner.runner.trials import refusal_of_trial
from headrace.learner.runner.unknown_spaces import UnknownSpaces
from headrace.protocol.errors import ConfigError, RefusedError
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.messages import FleetReport
from headrace.protocol.trajectory import DEFAULT_AGENT

_LOG = logging.getLogger("headrace.learner")

_ONLY_AGENT = {DEFAULT_AGENT: DEFAULT_MODULE}


class BrokerEnvRunner(EnvRunner, Checkpointable):
    """Samples from a fleet of simulators that RLlib neither starts nor steps.

    Use it with `config.env_runners(env_runner_cls=BrokerEnvRunner)`. Its settings, such as the
    broker's address, go into `config.environment(env_config={"headrace": {"address": "tcp://…"}})`.
    A runner connects at the first `sample()`, so one that is never sampled stays silent.
    """

    def __init__(self, *, config: AlgorithmConfig, **kwargs: Any) -> None:
        """Raises ConfigError, in a remote runner as soon as its spaces are asked for."""
        super().__init__(config=config, **kwargs)
        self.worker_index: int = kwargs.get("worker_index") or 0
        self._fault: ConfigError | None = None
        self._link: BrokerLink | None = None
        self._evaluation = EvaluationSampler(
            lambda: open_link(self._runner_config, self._log_dir, self.worker_index, "evaluate")
        )
        try:
            self._prepare(config, kwargs)
        except ConfigError as error:
            if self.worker_index == 0:
                raise
            self._fault = error

    def _prepare(self, config: AlgorithmConfig, kwargs: Mapping[str, Any]) -> None:
        self.metrics = MetricsLogger(
            stats_cls_lookup=cast("Any", config.stats_cls_lookup), root=False
        )
        self.num_env_steps_sampled_lifetime = 0
        self._log_dir: str = kwargs.get("log_dir") or ""
        self._is_trial = self.worker_index == 0 and _runs_in_an_actor()
        self._runner_config = runner_config_of(config)
        refuse_settings_without_effect(config)
        setup_class = MultiAgentSetup if config.is_multi_agent else SingleAgentSetup
        self._setup: AgentSetup = setup_class(config, self._runner_config.policy)
        # RLlib's EnvRunnerGroup looks for these names, to merge the connectors' states.
        self._env_to_module = self._setup.pipelines.to_module
        self._module_to_env = self._setup.pipelines.to_env
        self._weights_seq_no = 0
        self._weights_are_published = False
        self._published_at_s = float("-inf")
        self._env_runner_state_server: Any = None
        agents = self._setup.modules_by_agent or _ONLY_AGENT
        self._sampled = SampleMetrics(self.metrics, config, agents)
        self._callbacks = SampleCallbacks(config)
        self._report: FleetReport | None = None
        self._sampling = sampling_of(config, self._runner_config)
        self._publisher = WeightsPublisher(
            self._setup, config, self._runner_config, self._sampling.flow
        )
        self._buffer: SegmentBuffer | None = None

    # ---------------------------------------------------------------- sampling

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        **_: Any,
    ) -> list[Any]:
        """Returns the fleet's samples as RLlib episodes, in the amount that the algorithm expects.

        First confirms the episodes of the previous call, and publishes the newest weights. While no
        data arrives it logs the reason, ever more rarely; PPO, DQN and SAC get an empty list after
        `pull_timeout_s` and call again, IMPALA and APPO keep waiting.

        Args:
            num_timesteps, num_episodes: run an evaluation of at least this size; RLlib passes
                neither when it trains. Actors run whole episodes greedily, with these weights.

        Raises:
            LearnerStopping: the run is stopping.
            RefusedError: the broker serves another learner, or does not know this wire version.
        """
        if self.config.in_evaluation or num_episodes is not None or num_timesteps is not None:
            return self._evaluate(num_episodes, num_timesteps)
        self._pull_newest_state()
        self.metrics.log_value(WEIGHTS_SEQ_NO, self._weights_seq_no, window=1)
        link = self._connect()
        buffer = self._buffer = self._buffer or SegmentBuffer(self._publisher.lookbacks)
        self.confirm()
        started_s = time.monotonic()
        self._publish_if_due(link, started_s)
        timeout_s = self._runner_config.pull_timeout_s
        request = make_request(self.config, self.worker_index, self._publisher.manifest, timeout_s)
        try:
            taken = self._sampling.take(link, buffer, request)
        except LearnerStopping:
            if self.worker_index > 0:
                # On an exception of a remote runner, RLlib would wait a minute to restart it.
                exit_actor()
            raise
        except RefusedError as error:
            raise (refusal_of_trial(error) if self._is_trial else error) from None
        self._sampled.log_wait(time.monotonic() - started_s)
        for segment in taken:
            self._sampled.log_segment(segment)
        with paused_gc():
            joined = join_segments(taken)
            episodes = self._setup.make_episodes(joined)
        self._report = link.report
        self.num_env_steps_sampled_lifetime += sum(segment.env_steps for segment in taken)
        self._callbacks.sampled(self, joined, episodes)
        return episodes

    def _publish_if_due(self, link: BrokerLink, now_s: float) -> None:
        """Publishes here, not in `set_state`: a restore calls that with initial weights first."""
        is_early = now_s - self._published_at_s < self._sampling.publish_interval_s
        if self._weights_are_published or is_early:
            return
        self._publish(link)
        self._sampling.note_version()
        self._weights_are_published = True
        self._published_at_s = now_s

    def _publish(self, link: BrokerLink) -> None:
        self._publisher.publish(link, self._weights_seq_no, self.num_env_steps_sampled_lifetime)

    def _evaluate(self, episodes: int | None, env_steps: int | None) -> list[Any]:
        evaluated = join_segments(self._evaluation.sample(episodes, env_steps, self._publish))
        self._report = self._evaluation.report
        for segment in evaluated:
            self._sampled.log_segment(segment)
        made = self._setup.make_episodes(evaluated)
        self._callbacks.sampled(self, evaluated, made)
        return made

    def _pull_newest_state(self) -> None:
        """Asks RLlib's EnvRunnerStateServer, as its own runners do.

        IMPALA pushes state only there.
        """
        server = self._env_runner_state_server
        if server is None:
            return
        try:
            state: Any = ray.get(server.pull_if_newer.remote(self._weights_seq_no))
        except RayError as error:
            _LOG.warning("keeping version %d: %s", self._weights_seq_no, error)
            return
        if state is not None:
            self.set_state(state)

    def get_metrics(self) -> Any:
        """Returns RLlib's metrics, with headrace's own under `headrace`."""
        self._sampled.flush(self._report)
        return self.metrics.reduce()

    def confirm(self) -> None:
        """Confirms to the broker what `sample()` returned, as the next `sample()` would."""
        if self._buffer is not None and self._buffer.finished is not None:
            self._connect().confirm(self._buffer.finished)

    def interrupt(self) -> None:
        """Makes this `sample()` and all later ones raise LearnerStopping; from any thread."""
        self._connect().interrupt()
        self._evaluation.interrupt()

    @property
    def link(self) -> BrokerLink:
        """The connection to the broker; opened here if nothing was sampled yet."""
        return self._connect()

    def stop(self) -> None:
        """Says goodbye to the broker."""
        self._evaluation.close()
        if self._link is not None:
            self._link.close()
        self._link = None

    def assert_healthy(self) -> None:
        """Does nothing: a runner that was constructed is healthy, connected or not."""

    def find_fault(self) -> str | None:
        """Returns why this runner cannot work on its host, None if it can."""
        try:
            if self._fault is not None:
                raise self._fault
            targets_of(self._runner_config)
        except ConfigError as error:
            return f"on {ray.util.get_node_ip_address()}: {error}"
        return None

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        """Returns the spaces of the simulator and of the module."""
        if self._fault is not None:
            return cast("dict[str, Any]", UnknownSpaces(self._fault))
        return dict(self._setup.spaces)

    # ---------------------------------------------------------------- state

    @property
    def module(self) -> RLModule:
        """The module or multi-module with the newest weights; this runner does not act with it."""
        return self._setup.module

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the weights and their number, the connectors' state and the sampled steps."""
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
        """Stores weights that are newer, or forced by their number, for the next `sample()`."""
        if self._fault is not None:
            return  # an exception here would make RLlib wait a minute
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
        self._weights_are_published = False
        if number > 0:
            self._weights_seq_no = number
        self._setup.set_weights(weights, self._weights_seq_no)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments with which RLlib constructs a restored runner."""
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


def _runs_in_an_actor() -> bool:
    """Returns whether this process is an actor of Ray, as a trial of Tune is; a script is none."""
    return ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
