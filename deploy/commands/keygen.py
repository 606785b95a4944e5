"""`headrace keygen`."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.broker.access.key_folder import KeyFolder


@click.command()
@click.argument(
    "folder",
    default="headrace-keys",
    type=click.Path(path_type=Path, file_okay=False),
)
def command(folder: Path) -> None:
    """Creates FOLDER (default: headrace-keys) with a broker's key pair.

    Keep it on the broker's host. Next: `headrace invite`, and `headrace broker --keys FOLDER`.
    """
    key = KeyFolder(folder).create()
    click.echo(f"created {folder}; the broker's public key is {key.public_key}")
