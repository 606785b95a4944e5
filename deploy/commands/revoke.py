"""`headrace revoke`."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.broker.access.key_folder import KeyFolder
from headrace.deploy import options


@click.command()
@click.argument("name")
@options.keys
def command(name: str, keys: Path) -> None:
    """Revokes the invitation of NAME.

    A running broker notices within a second and disconnects every peer; those that are still
    invited reconnect automatically and continue where they were.
    """
    KeyFolder(keys).revoke(name)
    click.echo(f"{name} is no longer invited")
