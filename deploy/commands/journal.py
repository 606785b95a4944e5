"""`headrace journal`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from headrace.broker.journal.segments import SUFFIX, Segment, open_batches, read_segment
from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.errors import ConfigError

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def command() -> None:
    """Inspects a journal without changing it; a broker may be using it."""


@command.command()
@click.argument("folder", type=_FOLDER)
def verify(folder: Path) -> None:
    """Reads every record in FOLDER; exits with 1 if anything is damaged."""
    segments = list(_read(folder))
    damaged = [segment for segment in segments if segment.damaged_bytes]
    for segment in damaged:
        is_last = segment is segments[-1]
        what = "a write that was cut off" if is_last and segment.is_cut_off else "DAMAGED"
        click.echo(
            f"{segment.name}: {what}: {segment.damaged_bytes} bytes after {segment.whole_bytes}"
        )
    batches = sum(len(segment.batches) for segment in segments)
    click.echo(
        f"{len(segments)} segments, {batches} batches, {len(open_batches(segments))} of them open"
    )
    if any(segment is not segments[-1] or not segment.is_cut_off for segment in damaged):
        raise SystemExit(ExitCode.FAILED)


@command.command(name="print")
@click.argument("folder", type=_FOLDER)
@click.option("--all", "with_ended", is_flag=True, help="Include batches that have ended.")
def print_batches(folder: Path, with_ended: bool) -> None:
    """Prints a line for each open batch in FOLDER."""
    segments = list(_read(folder))
    is_open = {batch.arrival for batch in open_batches(segments)}
    for segment in segments:
        for batch in segment.batches:
            if not with_ended and batch.arrival not in is_open:
                continue
            header = batch.header
            click.echo(
                f"{batch.arrival}  {header.actor}/{header.incarnation}  batch {header.seq}  "
                f"run {header.run}  version {header.version}  {header.env_steps} env steps  "
                f"{len(batch.payload)} bytes  {'open' if batch.arrival in is_open else 'ended'}"
            )


def _read(folder: Path) -> Iterator[Segment]:
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise ConfigError(f"{folder} holds no journal")
    for path in paths:
        try:
            yield read_segment(path.name, path.read_bytes())
        except FileNotFoundError:  # deleted meanwhile, since all its batches have ended
            continue
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
