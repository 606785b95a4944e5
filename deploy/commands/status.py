"""`headrace status`."""

from __future__ import annotations

import time

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.process import on_stop_signal
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status, render_status

_REFRESH_S = 1.0


@click.command()
@click.option(
    "--http",
    "url",
    default="http://127.0.0.1:5560",
    show_default=True,
    help="The broker's HTTP address.",
)
@click.option("--watch", is_flag=True, help="Redraw every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(url: str, watch: bool, as_json: bool) -> None:
    """Shows a broker's actors, learner and batch counts."""
    if "://" not in url:
        url = f"http://{url}"
    if watch:
        _watch(url)
        return
    try:
        status = fetch_status(url)
    except BrokerUnreachableError as error:
        click.echo(f"headrace: {error}", err=True)
        raise SystemExit(ExitCode.UNREACHABLE) from error
    if as_json:
        click.echo(msgspec.json.encode(status).decode())
    else:
        Console().print(render_status(status))


def _watch(url: str) -> None:
    """Keeps watching through a restart of the broker."""
    stopped: list[bool] = []
    # A KeyboardInterrupt that arrives while an object is finalised is lost.
    on_stop_signal(lambda: stopped.append(True))
    with Live(Text("…"), auto_refresh=False) as live:
        while not stopped:
            try:
                live.update(render_status(fetch_status(url)), refresh=True)
            except BrokerUnreachableError as error:
                live.update(Text(str(error), style="red"), refresh=True)
            time.sleep(_REFRESH_S)  # noqa: TID251 - the pace at which a person reads
