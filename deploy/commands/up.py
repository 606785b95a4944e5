"""`headrace up`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from headrace.broker.monitoring.http_address import HttpAddress
from headrace.deploy.broker_places import BrokerPlace, broker_places
from headrace.deploy.cores import thread_settings, usable_cores
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.former_run import FormerRun, make_folder
from headrace.deploy.numbers import SEED
from headrace.deploy.process import on_stop_signal
from headrace.deploy.restarts import Restarts
from headrace.deploy.run_file import RunFile, read_run_file
from headrace.deploy.status_view import BrokerUnreachableError, fetch_fleet, render_status
from headrace.deploy.supervisor import Child, ChildDiedError, Supervisor
from headrace.protocol.errors import ConfigError

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0
_CHECKPOINT_TIMEOUT_S = 600.0
"""A learner stops after its current iteration."""
_REFRESH_S = 0.5
_PLAIN_EVERY_S = 5.0


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", type=SEED, help="Seed of learner and actors; default: [run] seed.")
@click.option("--actors", type=click.IntRange(0, 1024), help="Actors; default: [actors] count.")
@click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Parent of the run's folder.",
)
@click.option(
    "--resume", is_flag=True, help="Resume from the newest checkpoint in the run's folder."
)
@click.option("--overwrite", is_flag=True, help="Remove an earlier run of the same name first.")
def command(
    run_file: Path,
    seed: int | None,
    actors: int | None,
    runs: Path,
    resume: bool,
    overwrite: bool,
) -> None:
    """Starts a whole run on this machine: brokers, learner and actors, each in its own process.

    Ends when the learner does, with its exit code. Ctrl-C stops everything after a checkpoint.
    """
    run = read_run_file(run_file)
    if not run.broker.http:
        raise ConfigError(
            "[broker] http is empty, but `up` reads the status there: write host:port"
        )
    if run.broker.addresses:
        raise ConfigError(
            "[broker] addresses are those of brokers that run already; `up` starts its own: write "
            "count, or start learner and actors with `headrace learner` and `headrace actor`"
        )
    HttpAddress.parse(run.broker.http)
    places = broker_places(run.broker)
    folder = runs / run.run.name
    former = FormerRun.set_aside(folder) if overwrite and not resume else None
    supervisor = Supervisor(make_folder(folder / "logs"))
    stop = threading.Event()
    on_stop_signal(stop.set)
    status: int = ExitCode.CHILD_DIED
    try:
        command_line = _Options(seed, actors, runs, resume)
        status = _run(supervisor, run, run_file, places, command_line, stop)
    except ChildDiedError as error:
        click.echo(f"headrace: {error}", err=True)
    finally:
        supervisor.stop_all(_STOP_TIMEOUT_S)
        if former is not None:
            former.settle()
    raise SystemExit(status)


@dataclass(frozen=True)
class _Options:
    """The command line's options."""

    seed: int | None
    actors: int | None
    runs: Path
    resume: bool


def _run(
    supervisor: Supervisor,
    run: RunFile,
    run_file: Path,
    places: Sequence[BrokerPlace],
    options: _Options,
    stop: threading.Event,
) -> int:
    folder = options.runs / run.run.name
    for place in places:
        supervisor.start(place.name, _broker_arguments(place, folder))
    brokers = [_wait_for_broker(supervisor, folder, place, stop) for place in places]
    addresses = [broker.address for broker in brokers if broker is not None]
    urls = [broker.url for broker in brokers if broker is not None]
    if len(addresses) < len(places):
        return ExitCode.FAILED
    cores = usable_cores()
    learner = supervisor.start(
        "learner",
        _learner_arguments(run_file, addresses, options),
        thread_settings(max(1, cores - 1)),  # one for the broker and the actors
    )
    seed = options.seed if options.seed is not None else run.run.seed
    count = run.actors.count if options.actors is None else options.actors
    for index in range(count):
        arguments = _actor_arguments(run, addresses, index, seed)
        if run.learner.policy == "rllib":
            arguments += ["--policy", "rllib", "--rllib-config", str(run_file)]
        supervisor.start(f"actor-{index}", arguments, thread_settings(1), Restarts())
    _watch(supervisor, learner, urls, stop)
    if stop.is_set():
        supervisor.stop(learner, _CHECKPOINT_TIMEOUT_S)
    status = learner.process.wait()
    if status in (ExitCode.CONFIG, ExitCode.REFUSED):  # its last line says what to do
        click.echo(learner.last_lines().splitlines()[-1].strip(), err=True)
        return status
    if status not in (ExitCode.OK, ExitCode.GOAL_MISSED):
        supervisor.check()  # raises, with the learner's last lines
    click.echo(learner.last_lines().splitlines()[-1].strip())
    return status


def _broker_arguments(place: BrokerPlace, folder: Path) -> list[str]:
    announce = _announcement(place, folder)
    announce.unlink(missing_ok=True)
    return [
        "broker",
        "--address",
        place.address,
        "--http",
        place.http,
        "--announce",
        str(announce),
        "--dead-letters",
        str(folder / place.name.replace("broker", "dead-letters")),
        "--drain-s",
        "0",  # when it is stopped, its only learner has ended
    ]


def _announcement(place: BrokerPlace, folder: Path) -> Path:
    return folder / f"{place.name}.json"


def _learner_arguments(run_file: Path, addresses: Sequence[str], options: _Options) -> list[str]:
    arguments = ["learner", str(run_file), "--runs", str(options.runs)]
    for address in addresses:
        arguments += ["--broker", address]
    if options.seed is not None:
        arguments += ["--seed", str(options.seed)]
    return [*arguments, "--resume"] if options.resume else arguments


def _actor_arguments(
    run: RunFile, addresses: Sequence[str], index: int, seed: int | None
) -> list[str]:
    arguments = ["actor", "--broker", ",".join(addresses)]
    arguments += ["--environments", str(run.actors.environments)]
    arguments += ["--id", f"{run.run.name}-{index}"]
    if run.environment.multi_agent is not None:
        arguments += ["--multi-agent", run.environment.multi_agent]
        arguments += ["--env-config", json.dumps(run.environment.config)]
    return arguments if seed is None else [*arguments, "--seed", str(1000 * seed + index)]


@dataclass(frozen=True)
class _StartedBroker:
    address: str
    url: str


def _wait_for_broker(
    supervisor: Supervisor, folder: Path, place: BrokerPlace, stop: threading.Event
) -> _StartedBroker | None:
    """Returns where a broker listens, None if `stop` is set first."""
    announcement = _announcement(place, folder)
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while not stop.wait(0.02):
        supervisor.check()
        if announcement.exists():
            announced = json.loads(announcement.read_text())
            return _StartedBroker(announced["address"], announced["http"])
        if time.monotonic() > deadline_s:
            raise ChildDiedError(f"the {place.name} did not start within {_START_TIMEOUT_S:.0f} s")
    return None


def _watch(
    supervisor: Supervisor, learner: Child, urls: Sequence[str], stop: threading.Event
) -> None:
    """Shows the status until the learner ends or `stop` is set."""
    if sys.stdout.isatty():
        with Live(Text("starting"), auto_refresh=False, transient=True) as live:
            while learner.process.poll() is None and not stop.wait(_REFRESH_S):
                supervisor.check(may_end=learner)
                live.update(_render(urls, live.console, is_live=True), refresh=True)
        return
    console = Console()
    while learner.process.poll() is None and not stop.wait(_PLAIN_EVERY_S):
        supervisor.check(may_end=learner)
        console.print(_render(urls, console, is_live=False))


def _render(urls: Sequence[str], console: Console, *, is_live: bool) -> RenderableType:
    try:
        return render_status(fetch_fleet(urls), console, is_live=is_live)
    except BrokerUnreachableError as error:
        return Text(str(error), style="red")
