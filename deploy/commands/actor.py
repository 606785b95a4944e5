"""`headrace actor`."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from headrace.actors.connection.client import Client
from headrace.actors.simulators.collector import Collector
from headrace.actors.simulators.environments import make_environment
from headrace.actors.simulators.multi_agent_collector import MultiAgentCollector
from headrace.actors.simulators.multi_agent_simulators import simulator_of
from headrace.actors.simulators.resets import ResetOptions
from headrace.actors.simulators.restarting import RestartingEnvironment, RestartingSimulator
from headrace.deploy import options
from headrace.deploy.process import configure_logging, on_stop_signal, raise_open_files_limit
from headrace.deploy.ray_version import require_supported_ray
from headrace.learner.training.importing import load_function
from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.invitation_file import load_invitation


@click.command()
@options.broker_address
@options.join
@click.option("--env", "env_id", help="Gymnasium environment id; default: the learner's.")
@click.option(
    "--multi-agent",
    metavar="MODULE:FUNCTION",
    help="Function that returns a multi-agent environment: PettingZoo's or RLlib's MultiAgentEnv.",
)
@click.option("--env-config", help="Keyword arguments of the environment, as JSON.")
@click.option(
    "--environments",
    default=1,
    show_default=True,
    type=click.IntRange(1, 4096),
    help="Environments to step together.",
)
@click.option(
    "--env-timeout-s",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Run each environment in its own process, and recreate it if a step takes longer.",
)
@click.option("--id", "actor_id", help="Unique actor id; default: host-pid-random.")
@click.option("--seed", type=int, help="Seed of environments and exploration.")
@click.option(
    "--policy",
    type=click.Choice(["graph", "rllib"]),
    default="graph",
    show_default=True,
    help="Act with the policy graph, or with RLlib itself if the policy cannot be exported.",
)
@click.option(
    "--rllib-config",
    metavar="RUN.TOML|MODULE:FUNCTION",
    help="With --policy rllib: the run file, or a function that returns the AlgorithmConfig.",
)
@options.stop_on_eof
@options.verbose
def command(  # noqa: PLR0913 - one parameter per option
    address: str | None,
    join: Path | None,
    env_id: str | None,
    multi_agent: str | None,
    env_config: str | None,
    environments: int,
    env_timeout_s: float | None,
    actor_id: str | None,
    seed: int | None,
    policy: str,
    rllib_config: str | None,
    stop_on_eof: bool,
    is_verbose: bool,
) -> None:
    """Steps environments with the learner's newest policy.

    Waits for the broker and the learner whenever they are not running. An environment that raises
    is recreated; its episode is dropped and counted.
    """
    configure_logging(is_verbose=is_verbose)
    raise_open_files_limit()
    stop = threading.Event()
    on_stop_signal(stop.set, stop_on_eof=stop_on_eof)
    config = _parse_config(env_config)
    invitation = load_invitation(join, "actor") if join else None
    open_client = functools.partial(Client, address, actor=actor_id, invitation=invitation)
    if policy == "rllib":
        _act_with_rllib(open_client, rllib_config, environments, stop)
        return
    if multi_agent is not None:
        if env_timeout_s is not None:
            raise ConfigError("--env-timeout-s works only with single-agent environments")
        _act_with_several(open_client, multi_agent, config, environments, seed, stop)
        return
    with open_client() as client:
        if env_id is None:
            found = _environment_of_run(client, stop)
            if found is None:
                return
            env_id, config = found[0], {**found[1], **config}
        make = functools.partial(
            make_environment, env_id, environments, config, timeout_s=env_timeout_s
        )
        environment = RestartingEnvironment(make, stop.wait, functools.partial(_assigned, client))
        try:
            Collector(client, environment, seed=seed).run(stop)
        finally:
            environment.close()


def _act_with_several(
    open_client: Callable[[], Client],
    source: str,
    config: dict[str, Any],
    environments: int,
    seed: int | None,
    stop: threading.Event,
) -> None:
    make = load_function(source, "--multi-agent")
    with open_client() as client:
        assigned = functools.partial(_assigned, client)
        simulators = [
            RestartingSimulator(lambda: simulator_of(make(**config)), stop.wait, assigned)
            for _ in range(environments)
        ]
        try:
            MultiAgentCollector(client, simulators, seed=seed).run(stop)
        finally:
            for simulator in simulators:
                simulator.close()


def _assigned(client: Client) -> ResetOptions | None:
    """Returns the reset options of the current assignment."""
    assignment = client.assignment
    return None if assignment is None else assignment.options


def _act_with_rllib(
    open_client: Callable[[], Client],
    source: str | None,
    environments: int,
    stop: threading.Event,
) -> None:
    if source is None:
        raise ConfigError(
            "--policy rllib needs the learner's config: --rllib-config run.toml, or module:function"
        )
    require_supported_ray()
    # Imported here, since other actors need neither torch nor Ray.
    from headrace.actors.rllib.collector import RLlibCollector
    from headrace.deploy.rllib_config import load_rllib_config

    config = load_rllib_config(source)
    with open_client() as client:
        collector = RLlibCollector(client, config, environments=environments)
        try:
            collector.run(stop)
        finally:
            collector.close()


def _parse_config(env_config: str | None) -> dict[str, Any]:
    try:
        config = json.loads(env_config or "{}")
    except json.JSONDecodeError as error:
        raise ConfigError(f"--env-config is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError('--env-config is not a JSON object; write {"key": value}')
    return config


def _environment_of_run(client: Client, stop: threading.Event) -> tuple[str, dict[str, Any]] | None:
    """Waits for a manifest, and returns the environment that it names."""
    while not stop.is_set():
        update = client.policy_update(timeout_s=0.2)
        if update is None:
            continue
        manifest = update.policy.manifest
        if manifest.multi_agent:
            raise ConfigError(
                "this run has several agents; name the function that makes their environment: "
                "--multi-agent module:function"
            )
        if manifest.environment is None:
            raise ConfigError("this run's learner names no environment; choose one with --env")
        return manifest.environment, dict(manifest.environment_config)
    return None
