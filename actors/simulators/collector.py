"""The loop that steps Gymnasium environments with the newest policy and fills batches."""

from __future__ import annotations

import threading
from collections.abc import Callable

from headrace.actors.agents.vector_agent import VectorAgent
from headrace.actors.connection.client import Client
from headrace.actors.recording.non_finite import OnNonFinite
from headrace.actors.recording.step_result import Columns
from headrace.actors.simulators.environments import Environment
from headrace.actors.simulators.restarting import EpisodesBroken

_LOOK_FOR_STOP_S = 0.2


class Collector:
    """Steps environments within credit; without credit it waits, and discards nothing."""

    def __init__(
        self,
        client: Client,
        environment: Environment,
        *,
        seed: int | None = None,
        on_non_finite: OnNonFinite = "drop_episode",
    ) -> None:
        """Does not wait for the broker; for `on_non_finite` see `VectorAgent`."""
        self._agent = VectorAgent(client, environment.count, seed=seed, on_non_finite=on_non_finite)
        self._environment = environment
        self._seed = seed

    def run(self, stop: threading.Event, is_over: Callable[[], bool] = lambda: False) -> None:
        """Collects until `stop` is set, or `is_over` returns True before a step.

        An environment that fails ends the collection, unless it is a `RestartingEnvironment`.

        Raises:
            ConfigError: the environment does not match the learner's policy.
            RefusedError: the broker will not serve this actor.
        """
        observations: Columns = self._environment.reset(self._seed)
        while not stop.is_set() and not is_over():
            reset = self._agent.take_reset()
            if reset is not None:
                observations = self._environment.reset(reset.seed, reset.options)
            actions = self._agent.act(observations, _LOOK_FOR_STOP_S)
            if actions is None:
                continue
            try:
                step = self._environment.step(actions)
            except EpisodesBroken as broken:
                self._agent.drop_episodes()
                observations = broken.observations
                continue
            self._agent.record(step)
            observations = step.observations
            if self._agent.records_none:
                self._agent.drop_episodes()
                observations = self._environment.reset(None)
