"""`headrace policy-server`."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import click
import zmq

from headrace.actors.connection.client import Client
from headrace.deploy import options
from headrace.deploy.extras import extra
from headrace.deploy.logging_options import log_options
from headrace.deploy.loopback import require_loopback
from headrace.deploy.numbers import SEED, NumberRange
from headrace.deploy.process import (
    announce,
    on_stop_signal,
    raise_open_files_limit,
)
from headrace.deploy.server_keys import ServerKeys
from headrace.protocol.endpoints import require_endpoint
from headrace.protocol.messages.inference import DEFAULT_INFERENCE
from headrace.protocol.zeromq.invitation_file import load_invitation

_LOG = logging.getLogger("headrace.policy_server")


@click.command()
@options.broker_address
@options.join
@click.option(
    "--listen",
    default=DEFAULT_INFERENCE,
    show_default=True,
    help="Endpoint for simulators; port 0: any.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder made by `headrace keygen`: serve only invited actors, and encrypt traffic.",
)
@click.option("--insecure", is_flag=True, help="Serve other machines without keys.")
@click.option("--id", "actor_id", help="Unique actor id; default: host-pid-random.")
@click.option("--seed", type=SEED, help="Seed of exploration.")
@click.option(
    "--max-batch",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of requests in one run of the policy.",
)
@click.option(
    "--max-wait-ms",
    default=0.0,
    show_default=True,
    type=NumberRange(min=0.0),
    help="How long a request waits for others to share its batch.",
)
@click.option(
    "--episode-timeout-s",
    default=60.0,
    show_default=True,
    type=NumberRange(min=0.0, min_open=True),
    help="Truncate an episode after this time without a request.",
)
@click.option(
    "--announce",
    "announced",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the endpoint to this JSON file once it is bound.",
)
@options.stop_on_eof
@log_options
def command(  # noqa: PLR0913 - one parameter per option
    address: str | None,
    join: Path | None,
    listen: str,
    keys: Path | None,
    insecure: bool,
    actor_id: str | None,
    seed: int | None,
    max_batch: int,
    max_wait_ms: float,
    episode_timeout_s: float,
    announced: Path | None,
    stop_on_eof: bool,
) -> None:
    """Serves actions to simulators that cannot run a policy themselves, in any language.

    Simulators send observations and rewards and get actions; the server delivers their episodes to
    the broker. Any number of simulators may use one endpoint, and any number of servers may run.
    """
    raise_open_files_limit()
    # Imported here, so that the help works without the packages of the extra.
    with extra("actor"):
        from headrace.actors.agents.episode_agent import EpisodeAgent
        from headrace.actors.inference.policy_server import NoAuthentication, PolicyServer
        from headrace.actors.inference.request_handler import InferenceConfig
    if keys is None and not insecure:
        require_loopback([require_endpoint(listen, "--listen")])
    invitation = load_invitation(join, "actor") if join else None
    config = InferenceConfig(max_batch, max_wait_ms / 1000, episode_timeout_s)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with contextlib.ExitStack() as opened:
        server_keys = ServerKeys(keys, context) if keys is not None else None
        if server_keys is not None:
            opened.callback(server_keys.close)
        client = opened.enter_context(
            Client(address, actor=actor_id, invitation=invitation, context=context)
        )
        agent = EpisodeAgent(client, seed=seed)
        server = PolicyServer(
            agent,
            listen,
            context=context,
            config=config,
            authenticator=server_keys or NoAuthentication(),
        )
        on_stop_signal(server.stop, stop_on_eof=stop_on_eof)
        _LOG.info("listening at %s", server.endpoint)
        if announced is not None:
            announce(announced, {"endpoint": server.endpoint})
        server.run()
    _LOG.info("stopped")
