"""Options that several commands share."""

from __future__ import annotations

import click

from headrace.deploy.process import STOP_ON_EOF_OPTION
from headrace.protocol.endpoints import DEFAULT_ADDRESS

verbose = click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Log more.")
stop_on_eof = click.option(
    STOP_ON_EOF_OPTION,
    "stop_on_eof",
    is_flag=True,
    hidden=True,
    help="Stop when standard input ends, as it does when the parent process is gone.",
)
broker_address = click.option(
    "--broker",
    "address",
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="The broker's base address, or ingest=…,control=…,weights=…,learner=….",
)
