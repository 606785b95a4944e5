"""`headrace up`."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from headrace.broker.monitoring.http_address import HttpAddress
from headrace.deploy.cores import thread_settings, usable_cores
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.former_run import FormerRun, make_folder
from headrace.deploy.numbers import SEED
from headrace.deploy.process import on_stop_signal
from headrace.deploy.restarts import Restarts
from headrace.deploy.run_file import RunFile, read_run_file
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status, render_status
from headrace.deploy.supervisor import Child, ChildDiedError, Supervisor
from headrace.protocol.endpoints import BrokerAddress
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
    """Starts a whole run on this machine: broker, learner and actors, each in its own process.

    Ends when the learner does, with its exit code. Ctrl-C stops everything after a checkpoint.
    """
    run = read_run_file(run_file)
    if not run.broker.http:
        raise ConfigError(
            "[broker] http is empty, but `up` reads the status there: write host:port"
        )
    BrokerAddress.parse(run.broker.address)
    HttpAddress.parse(run.broker.http)
    folder = runs / run.run.name
    former = FormerRun.set_aside(folder) if overwrite and not resume else None
    supervisor = Supervisor(make_folder(folder / "logs"))
    stop = threading.Event()
    on_stop_signal(stop.set)
    status: int = ExitCode.CHILD_DIED
    try:
        status = _run(supervisor, run, run_file, _Options(seed, actors, runs, resume), stop)
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
    supervisor: Supervisor, run: RunFile, run_file: Path, options: _Options, stop: threading.Event
) -> int:
    supervisor.start("broker", _broker_arguments(run, options))
    announced = _wait_for_broker(supervisor, options.runs / run.run.name / "broker.json", stop)
    if announced is None:
        return ExitCode.FAILED
    address, url = announced
    cores = usable_cores()
    learner = supervisor.start(
        "learner",
        _learner_arguments(run_file, address, options),
        thread_settings(max(1, cores - 1)),  # one for the broker and the actors
    )
    seed = options.seed if options.seed is not None else run.run.seed
    count = run.actors.count if options.actors is None else options.actors
    for index in range(count):
        arguments = _actor_arguments(run, address, index, seed)
        if run.learner.policy == "rllib":
            arguments += ["--policy", "rllib", "--rllib-config", str(run_file)]
        supervisor.start(f"actor-{index}", arguments, thread_settings(1), Restarts())
    _watch(supervisor, learner, url, stop)
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


def _broker_arguments(run: RunFile, options: _Options) -> list[str]:
    folder = options.runs / run.run.name
    announce = folder / "broker.json"
    announce.unlink(missing_ok=True)
    broker = run.broker
    return [
        "broker",
        "--address",
        broker.address,
        "--http",
        broker.http,
        "--announce",
        str(announce),
        "--dead-letters",
        str(folder / "dead-letters"),
        "--drain-s",
        "0",  # when it is stopped, its only learner has ended
    ]


def _learner_arguments(run_file: Path, address: str, options: _Options) -> list[str]:
    arguments = ["learner", str(run_file), "--broker", address, "--runs", str(options.runs)]
    if options.seed is not None:
        arguments += ["--seed", str(options.seed)]
    return [*arguments, "--resume"] if options.resume else arguments


def _actor_arguments(run: RunFile, address: str, index: int, seed: int | None) -> list[str]:
    arguments = ["actor", "--broker", address, "--environments", str(run.actors.environments)]
    arguments += ["--id", f"{run.run.name}-{index}"]
    if run.environment.multi_agent is not None:
        arguments += ["--multi-agent", run.environment.multi_agent]
        arguments += ["--env-config", json.dumps(run.environment.config)]
    return arguments if seed is None else [*arguments, "--seed", str(1000 * seed + index)]


def _wait_for_broker(
    supervisor: Supervisor, announce: Path, stop: threading.Event
) -> tuple[str, str] | None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while not stop.wait(0.02):
        supervisor.check()
        if announce.exists():
            announced = json.loads(announce.read_text())
            return announced["address"], announced["http"]
        if time.monotonic() > deadline_s:
            raise ChildDiedError(f"the broker did not start within {_START_TIMEOUT_S:.0f} s")
    return None


def _watch(supervisor: Supervisor, learner: Child, url: str, stop: threading.Event) -> None:
    """Shows the status until the learner ends or `stop` is set."""
    if sys.stdout.isatty():
        with Live(Text("starting"), auto_refresh=False, transient=True) as live:
            while learner.process.poll() is None and not stop.wait(_REFRESH_S):
                supervisor.check(may_end=learner)
                live.update(_render(url, live.console, is_live=True), refresh=True)
        return
    console = Console()
    while learner.process.poll() is None and not stop.wait(_PLAIN_EVERY_S):
        supervisor.check(may_end=learner)
        console.print(_render(url, console, is_live=False))


def _render(url: str, console: Console, *, is_live: bool) -> RenderableType:
    try:
        return render_status(fetch_status(url), console, is_live=is_live)
    except BrokerUnreachableError as error:
        return Text(str(error), style="red")
