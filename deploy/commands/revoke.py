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
    """Takes back the invitation of NAME.

    A running broker notices within a second: it disconnects all, and those who are still invited
    connect again by themselves and go on where they were.
    """
    KeyFolder(keys).revoke(name)
    click.echo(f"{name} is no longer invited")
