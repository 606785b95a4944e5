"""`headrace rllink-gateway`."""

from __future__ import annotations

import logging
from pathlib import Path

import click
import zmq

from headrace.actors.connection.actor_ids import actor_id_of
from headrace.actors.connection.client import Client
from headrace.deploy import options
from headrace.deploy.logging_options import log_options
from headrace.deploy.loopback import require_loopback
from headrace.deploy.process import (
    announce,
    on_stop_signal,
    raise_open_files_limit,
)
from headrace.deploy.ray_version import require_supported_ray
from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.invitation_file import load_invitation

_LOG = logging.getLogger("headrace.rllink")
_SOCKETS_PER_CLIENT = 8
_INSTEAD = "RLlink has no keys, so listen on 127.0.0.1, beside the simulators or behind a tunnel"


@click.command()
@options.broker_address
@options.join
@click.option(
    "--rllib-config",
    required=True,
    metavar="RUN.TOML|MODULE:FUNCTION",
    help="The run file, or a function that returns the learner's AlgorithmConfig.",
)
@click.option(
    "--listen",
    default="127.0.0.1:5556",
    show_default=True,
    metavar="HOST:PORT",
    help="Address for RLlib's clients; port 0: any.",
)
@click.option("--insecure", is_flag=True, help="Serve other machines; RLlink has no keys.")
@click.option("--id", "actor_id", help="Prefix of the actor ids; default: host-pid-random.")
@click.option(
    "--max-clients",
    default=256,
    show_default=True,
    type=click.IntRange(1, 4096),
    help="Maximum number of connected clients; further ones are refused.",
)
@click.option(
    "--announce",
    "announced",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the address to this JSON file once it is bound.",
)
@options.stop_on_eof
@log_options
def command(  # noqa: PLR0913 - one parameter per option
    address: str | None,
    join: Path | None,
    rllib_config: str,
    listen: str,
    insecure: bool,
    actor_id: str | None,
    max_clients: int,
    announced: Path | None,
    stop_on_eof: bool,
) -> None:
    """Connects RLlib's own external clients (RLlink 0.0.1), unmodified, to the broker.

    Any number of clients connect to one port. RLlink has no authentication and no encryption: any
    client that reaches the port is served.
    """
    raise_open_files_limit()
    host, port = _parse(listen)
    if not insecure:
        require_loopback([f"tcp://{listen}"], _INSTEAD)
    invitation = load_invitation(join, "actor") if join else None
    name = actor_id_of(actor_id, invitation)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, _SOCKETS_PER_CLIENT * max_clients)
    require_supported_ray()
    # Imported here, so that a mistake is reported before Ray is loaded.
    from headrace.actors.rllib.rllink_config import config_for_clients
    from headrace.actors.rllib.rllink_gateway import RLlinkGateway
    from headrace.deploy.rllib_config import load_rllib_config
    from headrace.learner.runner.simulator_spaces import without_learners_part

    config = without_learners_part(load_rllib_config(rllib_config))

    def open_client(number: int) -> Client:
        return Client(address, actor=f"{name}.{number}", invitation=invitation, context=context)

    gateway = RLlinkGateway(
        (host, port),
        open_client,
        lambda fragment_env_steps: config_for_clients(config, fragment_env_steps),
        max_clients=max_clients,
    )
    on_stop_signal(gateway.stop, stop_on_eof=stop_on_eof)
    _LOG.info("listening at %s", gateway.endpoint)
    if announced is not None:
        announce(announced, {"endpoint": gateway.endpoint})
    gateway.run()
    _LOG.info("stopped")


def _parse(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"--listen {listen!r} is not of the form host:port")
    return host.strip("[]"), int(port)
