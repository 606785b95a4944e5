"""`headrace invite`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from headrace.broker.access.key_folder import KeyFolder
from headrace.deploy import options
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Role

_EPILOG = """\b
Examples:
  headrace invite actor walker --address tcp://10.0.0.5:5555 -o walker.join
  headrace actor --join walker.join
"""


@click.command(epilog=_EPILOG)
@click.argument("role", type=click.Choice(["actor", "learner"]))
@click.argument("name")
@click.option("--address", required=True, help="Address at which the peer reaches the broker.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the invitation to this new file, readable only by you.",
)
@options.keys
def command(role: Role, name: str, address: str, output: Path | None, keys: Path) -> None:
    """Invites an actor or a learner: prints a line to save in a file on its host (chmod 600).

    An actor's id must be NAME, or begin with NAME and a dot, so one invitation can serve a fleet.
    The line contains a secret key that is stored nowhere else.
    """
    BrokerAddress.parse_remote(address)
    file = _create(output) if output is not None else None
    try:
        invitation = KeyFolder(keys).invite(role, name, address)
    except ConfigError:
        if output is not None:
            output.unlink()
        raise
    line = invitation.to_line() + "\n"
    if file is None:
        sys.stdout.write(line)
        return
    with os.fdopen(file, "w") as writer:
        writer.write(line)


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot create {path}: {error.strerror}") from error
