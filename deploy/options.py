"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.deploy.process import STOP_ON_EOF_OPTION
from headrace.protocol.endpoints import DEFAULT_ADDRESS

stop_on_eof = click.option(
    STOP_ON_EOF_OPTION,
    "stop_on_eof",
    is_flag=True,
    hidden=True,
    help="Stop when standard input closes, as it does when the parent process ends.",
)
broker_address = click.option(
    "--broker",
    "address",
    help="The broker's base address, or ingest=…,control=…,weights=…,learner=…; of several, "
    "separated by commas, the actor id chooses one; default: the invitation's, or "
    f"{DEFAULT_ADDRESS}.",
)
join = click.option(
    "--join",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HEADRACE_JOIN",
    show_envvar=True,
    help="Invitation file, for a broker with keys.",
)
keys = click.option(
    "--keys",
    default="headrace-keys",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder made by `headrace keygen`.",
)
