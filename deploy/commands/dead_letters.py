"""`headrace dead-letters`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from headrace.broker.journal.dead_letters import KeptLetter, read_dead_letters
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, RemoteProtocolError
from headrace.protocol.trajectory import INTEGER_FIELDS, unpack_batch

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(name="dead-letters")
def command() -> None:
    """Shows batches that the broker gave up because learners crashed on them."""


@command.command(name="list")
@click.argument("file", type=_FILE)
def list_letters(file: Path) -> None:
    """Lists the batches in FILE.

    `headrace broker --dead-letters FILE` writes it.
    """
    table = Table("", "when (UTC)", "actor", "batch", "version", "env steps", "bytes", "reason")
    for number, kept in enumerate(read_dead_letters(file), start=1):
        batch = kept.letter.batch
        table.add_row(
            str(number),
            _time(kept),
            batch.actor,
            str(batch.seq),
            str(batch.version),
            str(batch.env_steps),
            str(len(kept.payload)),
            kept.letter.reason,
        )
    Console(width=None).print(table)


@command.command(name="show")
@click.argument("file", type=_FILE)
@click.argument("number", type=click.IntRange(min=1))
def show_letter(file: Path, number: int) -> None:
    """Shows batch NUMBER of FILE: its header and every column."""
    letters = read_dead_letters(file)
    if number > len(letters):
        raise ConfigError(f"{file} holds {len(letters)} dead letters; there is no number {number}")
    kept = letters[number - 1]
    batch = kept.letter.batch
    click.echo(f"batch {batch.seq} of actor {batch.actor} (incarnation {batch.incarnation})")
    click.echo(f"given up {_time(kept)} UTC: {kept.letter.reason}")
    click.echo(f"run {batch.run}, policy version {batch.version}, {batch.env_steps} env steps")
    try:
        modules = unpack_batch(kept.payload, compression=batch.compression).modules
    except RemoteProtocolError as error:
        click.echo(f"its payload of {len(kept.payload)} bytes cannot be decoded: {error}")
        return
    for name, module in modules.items():
        lengths = module.chunks.integers[:, INTEGER_FIELDS.index("length")].tolist()
        click.echo(f"module {name}: chunks of {lengths} steps")
        table = Table("column", "dtype", "shape", "smallest", "largest", "not finite")
        for column, array in module.columns.items():
            table.add_row(column, str(array.dtype), str(array.shape), *_extremes(array))
        Console(width=None).print(table)


def _time(kept: KeptLetter) -> str:
    return datetime.fromtimestamp(kept.letter.at_unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _extremes(array: Array) -> tuple[str, str, str]:
    finite = array[np.isfinite(array)]
    bad = array.size - finite.size
    if not finite.size:
        return "", "", str(bad)
    return str(finite.min()), str(finite.max()), str(bad)
