"""What `headrace actor` does: makes environments, and collects until it is stopped."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.actors.connection.client import Client
from headrace.actors.recording.non_finite import OnNonFinite
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import make_environment
from headrace.actors.simulators.multi_agent_collector import MultiAgentCollector
from headrace.actors.simulators.multi_agent_simulators import (
    MultiAgentSimulator,
    simulator_of,
)
from headrace.actors.simulators.resets import ResetOptions
from headrace.actors.simulators.restarting import RestartingEnvironment, RestartingSimulator
from headrace.actors.simulators.run_following import NamedEnvironment, RunFollower
from headrace.deploy.extras import extra
from headrace.deploy.ray_version import require_supported_ray
from headrace.learner.training.importing import load_function
from headrace.protocol.errors import ConfigError
from headrace.protocol.simulator_errors import making


@dataclass(frozen=True)
class Settings:
    """The command line's options.

    Attributes:
        environments: number of environments to step together.
        config: keyword arguments of the environment.
        env_timeout_s: how long a step may take, in a process of its own; None for no limit.
    """

    environments: int
    config: Mapping[str, Any]
    env_timeout_s: float | None
    seed: int | None
    on_non_finite: OnNonFinite


def act_alone(
    client: Client, env_id: str | None, settings: Settings, stop: threading.Event
) -> None:
    """Steps the given environment or, without one, that of the broker's present run.

    Raises:
        ConfigError: the environment cannot be made, or does not match the learner's policy.
        RefusedError: the broker will not serve this actor.
    """
    given = None if env_id is None else NamedEnvironment(env_id)
    make = functools.partial(
        make_environment, count=settings.environments, timeout_s=settings.env_timeout_s
    )
    follower = RunFollower(client, stop)

    def collect() -> None:
        while not stop.is_set():
            named = given or follower.wait()
            if named is None:
                return
            environment = RestartingEnvironment(
                functools.partial(make, named.env_id, config={**named.config, **settings.config}),
                stop.wait,
                functools.partial(_assigned, client),
            )
            try:
                _collect_until_the_next_run(client, environment, settings, follower, stop)
            finally:
                environment.close()

    follower.run(collect)


def _collect_until_the_next_run(
    client: Client,
    environment: RestartingEnvironment,
    settings: Settings,
    follower: RunFollower,
    stop: threading.Event,
) -> None:
    # The client serves one agent: this one has to be gone before the next run's is made.
    collector = Collector(
        client, environment, seed=settings.seed, on_non_finite=settings.on_non_finite
    )
    try:
        collector.run(stop, follower.has_changed)
    except ConfigError:
        if not follower.has_changed():  # else it is about the next run's policy
            raise


def act_with_several(
    client: Client, source: str, settings: Settings, stop: threading.Event
) -> None:
    """Steps multi-agent environments that the function `source` makes; raises as `act_alone`."""
    function = load_function(source, "--multi-agent")

    def make() -> MultiAgentSimulator:
        with making(source):
            return simulator_of(function(**settings.config))

    def collect() -> None:
        assigned = functools.partial(_assigned, client)
        simulators = [
            RestartingSimulator(make, stop.wait, assigned) for _ in range(settings.environments)
        ]
        collector = MultiAgentCollector(
            client, simulators, seed=settings.seed, on_non_finite=settings.on_non_finite
        )
        try:
            collector.run(stop)
        finally:
            for simulator in simulators:
                simulator.close()

    RunFollower(client, stop).run(collect)


def _assigned(client: Client) -> ResetOptions | None:
    """Returns the reset options of the current assignment."""
    assignment = client.assignment
    return None if assignment is None else assignment.options


def act_with_rllib(client: Client, source: str, settings: Settings, stop: threading.Event) -> None:
    """Acts with RLlib itself, as the config `source` says; raises as `act_alone`."""
    require_supported_ray()
    # Imported here, since other actors need neither torch nor Ray.
    with extra("learner"):
        from headrace.actors.rllib.collector import RLlibCollector
        from headrace.deploy.rllib_config import load_rllib_config

    config = load_rllib_config(source)
    collector = RLlibCollector(client, config, environments=settings.environments)
    try:
        collector.run(stop)
    finally:
        collector.close()
