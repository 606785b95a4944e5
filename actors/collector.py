"""The loop that steps Gymnasium environments with the newest policy, and fills batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from headrace.actors.client import Client
from headrace.actors.environments import Environment, StepResult
from headrace.actors.policy import OnnxPolicy
from headrace.actors.recorder import BatchRecorder, Transition
from headrace.actors.session import PolicyUpdate
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.messages import Credit

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]


class Collector:
    """Fills batches within credit: waits for it, never discards, swaps weights between batches."""

    def __init__(
        self,
        client: Client,
        environment: Environment,
        *,
        seed: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._environment = environment
        self._seed = seed
        self._clock = clock
        self._rng = np.random.default_rng(seed)
        self._recorder = BatchRecorder(environment.count, self._rng, clock)
        self._policy: OnnxPolicy | None = None
        self._digest: str | None = None
        self._version: PolicyVersion | None = None
        self._observations: dict[str, Array] = {}

    def run(self, stop: threading.Event) -> None:
        """Collects until `stop` is set.

        Raises:
            ConfigError: the environment does not fit the learner's policy.
            RefusedError: the broker will not serve this actor.
        """
        self._observations = self._environment.reset(self._seed)
        while not stop.is_set():
            if not self._client.wait_to_begin(timeout_s=0.2):
                continue
            update = self._client.policy_update()
            credit = self._client.credit
            if update is not None and credit is not None:
                self._collect(self._policy_of(update), update, credit)

    def _policy_of(self, update: PolicyUpdate) -> OnnxPolicy:
        if self._policy is None or update.digest != self._digest:
            if update.policy.manifest.modules.keys() != {DEFAULT_MODULE}:
                raise ConfigError(
                    "this learner trains several modules; a Gymnasium environment has one agent"
                )
            graph = update.policy.graphs[DEFAULT_MODULE]
            spec = update.policy.manifest.modules[DEFAULT_MODULE].graph
            self._policy = OnnxPolicy(graph, spec, self._rng)
            self._policy.check_observations(self._observations)
            self._digest, self._version = update.digest, None
        if update.version != self._version:
            self._policy.set_weights(update.weights[DEFAULT_MODULE])
            self._version = update.version
            _LOG.info("acting with policy version %s", update.version)
        return self._policy

    def _collect(self, policy: OnnxPolicy, update: PolicyUpdate, credit: Credit) -> None:
        """Records one batch under one version, and hands it over."""
        cuts = update.policy.manifest.flow.cut_on_new_weights
        deadline_s = self._clock() + credit.fragment_s
        recorder = self._recorder
        while True:
            self._step(policy)
            if recorder.env_steps >= credit.fragment_steps:
                break
            if recorder.env_steps and self._clock() >= deadline_s:
                break
            if recorder.env_steps and cuts and self._client.newest_version != update.version:
                break
        batch, env_steps = recorder.take_batch(policy.observe(self._observations))
        self._client.push(batch, update.version, env_steps)

    def _step(self, policy: OnnxPolicy) -> None:
        acted = policy.act(self._observations)
        result = self._environment.step(acted.env_actions)
        self._recorder.record(
            Transition(
                observations=acted.observations,
                outputs=acted.recorded,
                rewards=result.rewards,
                terminated=result.terminated,
                truncated=result.truncated,
                final_observations=_recorded_finals(policy, result),
                is_reset_step=result.is_reset_step,
            )
        )
        self._observations = result.observations


def _recorded_finals(policy: OnnxPolicy, result: StepResult) -> dict[int, Mapping[str, Array]]:
    finals: dict[int, Mapping[str, Array]] = {}
    for index, final in result.final_observations.items():
        rows = policy.observe({path: leaf[None] for path, leaf in final.items()})
        finals[index] = {name: values[0] for name, values in rows.items()}
    return finals
