"""`headrace actor`."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import click

from headrace.actors.connection.client import Client
from headrace.actors.recording.non_finite import OnNonFinite
from headrace.deploy import options
from headrace.deploy.extras import extra
from headrace.deploy.grace import Grace, GraceOver
from headrace.deploy.logging_options import log_options
from headrace.deploy.numbers import SEED, NumberRange
from headrace.deploy.process import on_stop_signal, raise_open_files_limit
from headrace.protocol.errors import ConfigError


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
    type=NumberRange(min=0.0, min_open=True),
    help="Run each environment in its own process, and recreate it if a step takes longer.",
)
@click.option(
    "--on-non-finite",
    type=click.Choice(["drop_episode", "error"]),
    default="drop_episode",
    show_default=True,
    help="What to do when an observation or a reward is NaN or infinite.",
)
@click.option("--id", "actor_id", help="Unique actor id; default: host-pid-random.")
@click.option("--seed", type=SEED, help="Seed of environments and exploration.")
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
@log_options
def command(  # noqa: PLR0913 - one parameter per option
    address: str | None,
    join: Path | None,
    env_id: str | None,
    multi_agent: str | None,
    env_config: str | None,
    environments: int,
    env_timeout_s: float | None,
    on_non_finite: OnNonFinite,
    actor_id: str | None,
    seed: int | None,
    policy: str,
    rllib_config: str | None,
    stop_on_eof: bool,
) -> None:
    """Steps environments with the learner's newest policy.

    Waits for the broker and the learner whenever they are not running. An environment that raises
    is recreated; its episode is dropped and counted.
    """
    raise_open_files_limit()
    config = _parse_config(env_config)
    if multi_agent is not None and env_timeout_s is not None:
        raise ConfigError("--env-timeout-s works only with single-agent environments")
    if policy == "rllib" and rllib_config is None:
        raise ConfigError(
            "--policy rllib needs the learner's config: --rllib-config run.toml, or module:function"
        )
    stop = threading.Event()
    with Client(address, actor=actor_id, join=join) as client:
        grace = Grace(client.close)
        on_stop_signal(stop.set, stop_on_eof=stop_on_eof, grace=grace)
        # Imported here, so that the help works without the packages of the extra.
        with extra("actor"):
            from headrace.deploy import acting
        settings = acting.Settings(environments, config, env_timeout_s, seed, on_non_finite)
        try:
            if policy == "rllib" and rllib_config is not None:
                acting.act_with_rllib(client, rllib_config, settings, stop)
            elif multi_agent is not None:
                acting.act_with_several(client, multi_agent, settings, stop)
            else:
                acting.act_alone(client, env_id, settings, stop)
        except GraceOver:
            return
        finally:
            grace.end()  # delivering what is finished may take longer


def _parse_config(env_config: str | None) -> dict[str, Any]:
    try:
        config = json.loads(env_config or "{}")
    except json.JSONDecodeError as error:
        raise ConfigError(f"--env-config is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError('--env-config is not a JSON object; write {"key": value}')
    return config
