"""`headrace status`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import get_args

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.process import on_stop_signal
from headrace.deploy.status_screen import Selection, Sort, State
from headrace.deploy.status_view import (
    BrokerUnreachableError,
    FleetStatus,
    fetch_fleet,
    render_status,
)

_REFRESH_S = 1.0

_EPILOG = """\b
Examples:
  headrace status                      live actors; silent ones in one line
  headrace status --watch --sort lag   the actors that are furthest behind
  headrace status --state silent       the actors that are not heard any more
  headrace status --json --watch       a line of JSON each second, for scripts
  headrace status --http a:5560 --http b:5560    two brokers, in one table
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--http",
    "urls",
    multiple=True,
    default=["http://127.0.0.1:5560"],
    show_default=True,
    help="The broker's HTTP address; repeat it for several brokers.",
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
    urls: tuple[str, ...],
    watch: bool,
    as_json: bool,
    sort: Sort,
    state: State,
    host: str | None,
    limit: int | None,
) -> None:
    """Shows the actors, the learner and the batch counts of a broker, or of several together."""
    urls = tuple(url if "://" in url else f"http://{url}" for url in urls)
    selection = Selection(sort, state, host, limit)
    if watch:
        _watch(urls, selection, as_json=as_json)
        return
    try:
        fleet = fetch_fleet(urls)
    except BrokerUnreachableError as error:
        click.echo(f"headrace: {error}", err=True)
        raise SystemExit(ExitCode.UNREACHABLE) from error
    if as_json:
        _print_json(fleet)
    else:
        console = Console()
        console.print(render_status(fleet, console, selection, is_live=False))


def _watch(urls: Sequence[str], selection: Selection, *, as_json: bool) -> None:
    """Keeps watching through restarts of the brokers."""
    if as_json or not sys.stdout.isatty():
        console = Console()

        def show(fleet: FleetStatus) -> None:
            if as_json:
                _print_json(fleet)
            else:
                console.print(render_status(fleet, console, selection, is_live=False))

        _repeat(urls, show, lambda error: click.echo(f"headrace: {error}", err=True))
        return
    with Live(Text("…"), auto_refresh=False) as live:
        _repeat(
            urls,
            lambda fleet: live.update(
                render_status(fleet, live.console, selection, is_live=True), refresh=True
            ),
            lambda error: live.update(Text(str(error), style="red"), refresh=True),
        )


def _repeat(
    urls: Sequence[str],
    show: Callable[[FleetStatus], None],
    complain: Callable[[BrokerUnreachableError], None],
) -> None:
    stopped: list[bool] = []
    # A KeyboardInterrupt that arrives while an object is finalised is lost.
    on_stop_signal(lambda: stopped.append(True))
    while not stopped:
        try:
            show(fetch_fleet(urls))
        except BrokerUnreachableError as error:
            complain(error)
        time.sleep(_REFRESH_S)  # noqa: TID251 - the pace at which a person reads


def _print_json(fleet: FleetStatus) -> None:
    click.echo(msgspec.json.encode(fleet.status).decode())
