"""Collects with RLlib's own runner, connectors and module, for policies without a graph.

Needs Ray and torch on the simulator's host. Each actor's connectors keep their own state.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO

from headrace.actors.connection.assignments import AssignmentWatch, Reset
from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.recording.batch_lifecycle import BatchLifecycle
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.rllib.assigned_runner import AssignedEnvRunner, runner_config
from headrace.actors.rllib.episode_batch import EpisodeBatch
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import DEFAULT_MODULE, ModuleManifest
from headrace.protocol.policy_graph import ENV_STEPS, EXPLORE

_LOOK_FOR_STOP_S = 0.2

Clock = Callable[[], float]


class RLlibCollector:
    """Steps environments as RLlib does, within credit; evaluates in a separate environment."""

    def __init__(
        self,
        client: BrokerClient,
        config: AlgorithmConfig,
        *,
        environments: int = 1,
        clock: Clock = time.monotonic,
    ) -> None:
        """Makes the environments.

        Args:
            config: the learner's config; its runner class is replaced by RLlib's own.
        """
        self._client = client
        self._config = config
        self._clock = clock
        self._environments = environments
        self._runner = AssignedEnvRunner(config=runner_config(config, environments))
        self._evaluator: AssignedEnvRunner | None = None
        self._batches = BatchLifecycle(client, clock)
        self._episodes = EpisodeBatch(clock)
        self._assignments = AssignmentWatch(client)
        self._assignments.watch()
        self._task: str | None = None
        self._is_reset_due = False
        self._update: PolicyUpdate | None = None
        client.offer_evaluation()

    def run(self, stop: threading.Event) -> None:
        """Collects until `stop` is set.

        Raises:
            ConfigError: the learner's policy is not the configured one.
            RefusedError: the broker will not serve this actor.
        """
        while not stop.is_set():
            self._adopt_assignment()
            if self._client.evaluation_is_wanted:
                self._evaluate()
            elif self._batches.is_open or self._batches.begin(
                self._use, _LOOK_FOR_STOP_S, until_evaluation=True
            ):
                self._collect()

    def close(self) -> None:
        """Closes the environments."""
        self._runner.stop()
        if self._evaluator is not None:
            self._evaluator.stop()

    @property
    def _module(self) -> ModuleManifest:
        if self._update is None:
            raise ConfigError("there is no policy yet")
        return self._update.policy.manifest.modules[DEFAULT_MODULE]

    def _collect(self) -> None:
        """Steps each environment once, and delivers the batch if it is full."""
        explores = bool(self._module.graph.scalars.get(EXPLORE, 1.0))
        force_reset, self._is_reset_due = self._is_reset_due, False
        pieces = self._runner.sample(
            num_timesteps=self._environments, explore=explores, force_reset=force_reset
        )
        for piece in pieces:
            self._episodes.add(piece)
        if self._batches.is_full(self._episodes.env_steps):
            self._runner.get_metrics()  # RLlib's store of them grows until it is read
            self._batches.deliver(self._episodes, self._task)

    def _adopt_assignment(self) -> None:
        """Resets the environments if there is a new assignment.

        A single environment ends its episode first; several are reset together, wherever they are.
        """
        is_between = not self._episodes.has_open or self._environments > 1
        if not self._assignments.is_behind or not is_between:
            return
        self._batches.deliver(self._episodes, self._task)
        self._episodes.abandon()
        reset = self._assignments.adopt()
        self._task = reset.task
        self._runner.assign(reset)
        self._is_reset_due = True

    def _evaluate(self) -> None:
        """Runs one whole greedy episode in the evaluation environment."""
        if self._evaluator is None:
            self._evaluator = AssignedEnvRunner(config=runner_config(self._config, 1))
        evaluator = self._evaluator
        self._batches.deliver(self._episodes, self._task)  # the evaluation may need newer weights
        evaluation = Evaluation.begin(self._client, self._batches, self._use)
        if evaluation is None:
            return
        evaluator.set_state(_state_of(self._update) if self._update is not None else {})
        assignment = self._client.assignment
        evaluator.assign(Reset() if assignment is None else Reset(options=assignment.options))
        episodes = EpisodeBatch(self._clock)
        episodes.adopt(self._module)
        for piece in _sample_one(evaluator, evaluation.max_env_steps):
            if evaluation.is_part_full(episodes.env_steps):
                evaluation.deliver(episodes, more=True)
            episodes.add(piece)
        evaluator.get_metrics()
        evaluation.deliver(episodes)

    def _use(self, update: PolicyUpdate) -> None:
        if self._update is not None and update.version == self._update.version:
            return
        if update.policy.graphs.get(DEFAULT_MODULE) != b"":
            raise ConfigError(
                "this learner's policy is a graph: leave out --policy rllib, or set "
                'policy = "rllib" at the learner'
            )
        try:
            self._runner.set_state(_state_of(update))
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"the learner's weights do not fit the configured module: {error}"
            ) from error
        self._update = update
        self._episodes.adopt(self._module)


def _sample_one(evaluator: AssignedEnvRunner, max_env_steps: int | None) -> list[Any]:
    """Returns the chunks of one greedy episode, truncated after this many env steps."""
    if max_env_steps is None:
        return list(evaluator.sample(num_episodes=1, explore=False, force_reset=True))
    chunks = list(evaluator.sample(num_timesteps=max_env_steps, explore=False, force_reset=True))
    first = [chunk for chunk in chunks if chunk.id_ == chunks[0].id_]
    if not first[-1].is_done:
        first[-1].is_truncated = True
    return first


def _state_of(update: PolicyUpdate) -> dict[str, Any]:
    """Returns an update as a state of RLlib's runner."""
    weights: dict[str, Any] = dict(update.weights[DEFAULT_MODULE])
    env_steps = int(weights.pop(ENV_STEPS)[0])
    return {
        COMPONENT_RL_MODULE: {DEFAULT_MODULE_ID: weights},
        WEIGHTS_SEQ_NO: 0,  # 0 makes the runner set them in any case
        NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps,
    }
