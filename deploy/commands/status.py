"""`headrace status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import get_args

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from headrace.broker.routing.status import BrokerStatus
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.process import on_stop_signal
from headrace.deploy.status_screen import Selection, Sort, State
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status, render_status

_REFRESH_S = 1.0

_EPILOG = """\b
Examples:
  headrace status                      live actors; silent ones in one line
  headrace status --watch --sort lag   the actors that are furthest behind
  headrace status --state silent       the actors that are not heard any more
  headrace status --json --watch       a line of JSON each second, for scripts
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--http",
    "url",
    default="http://127.0.0.1:5560",
    show_default=True,
    help="The broker's HTTP address.",
)
@click.option("--watch", is_flag=True, help="Repeat every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option(
    "--sort",
    type=click.Choice(get_args(Sort)),
    default="id",
    show_default=True,
    help="Order of the actors, the largest number first.",
)
@click.option(
    "--state",
    type=click.Choice(get_args(State)),
    default="live",
    show_default=True,
    help="Which actors to list.",
)
@click.option("--host", help="List only the actors on this host.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="Most actors to list; default: all, and with --watch as many as fit.",
)
def command(
    url: str,
    watch: bool,
    as_json: bool,
    sort: Sort,
    state: State,
    host: str | None,
    limit: int | None,
) -> None:
    """Shows a broker's actors, learner and batch counts."""
    if "://" not in url:
        url = f"http://{url}"
    selection = Selection(sort, state, host, limit)
    if watch:
        _watch(url, selection, as_json=as_json)
        return
    try:
        status = fetch_status(url)
    except BrokerUnreachableError as error:
        click.echo(f"headrace: {error}", err=True)
        raise SystemExit(ExitCode.UNREACHABLE) from error
    if as_json:
        _print_json(status)
    else:
        console = Console()
        console.print(render_status(status, console, selection, is_live=False))


def _watch(url: str, selection: Selection, *, as_json: bool) -> None:
    """Keeps watching through a restart of the broker."""
    if as_json or not sys.stdout.isatty():
        console = Console()

        def show(status: BrokerStatus) -> None:
            if as_json:
                _print_json(status)
            else:
                console.print(render_status(status, console, selection, is_live=False))

        _repeat(url, show, lambda error: click.echo(f"headrace: {error}", err=True))
        return
    with Live(Text("…"), auto_refresh=False) as live:
        _repeat(
            url,
            lambda status: live.update(
                render_status(status, live.console, selection, is_live=True), refresh=True
            ),
            lambda error: live.update(Text(str(error), style="red"), refresh=True),
        )


def _repeat(
    url: str,
    show: Callable[[BrokerStatus], None],
    complain: Callable[[BrokerUnreachableError], None],
) -> None:
    stopped: list[bool] = []
    # A KeyboardInterrupt that arrives while an object is finalised is lost.
    on_stop_signal(lambda: stopped.append(True))
    while not stopped:
        try:
            show(fetch_status(url))
        except BrokerUnreachableError as error:
            complain(error)
        time.sleep(_REFRESH_S)  # noqa: TID251 - the pace at which a person reads


def _print_json(status: BrokerStatus) -> None:
    click.echo(msgspec.json.encode(status).decode())
