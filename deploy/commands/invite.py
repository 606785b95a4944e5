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


@click.command()
@click.argument("role", type=click.Choice(["actor", "learner"]))
@click.argument("name")
@click.option("--address", required=True, help="Where the broker is reached from there.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the invitation to this new file, which only you can read.",
)
@options.keys
def command(role: Role, name: str, address: str, output: Path | None, keys: Path) -> None:
    r"""Invites an actor or a learner: prints one line, to be put into a file there (chmod 600).

    An actor's id is NAME, or begins with NAME and a dot, so that one invitation may serve a fleet.
    The line holds a secret key that is kept nowhere else.

    \b
    headrace invite actor walker --address tcp://10.0.0.5:5555 -o walker.join
    headrace actor --join walker.join
    """
    BrokerAddress.parse(address)
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
        raise ConfigError(f"cannot make {path}: {error.strerror}") from error
