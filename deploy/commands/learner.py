"""`headrace learner`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from headrace.deploy import options
from headrace.deploy.broker_places import learner_addresses
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.extras import extra
from headrace.deploy.logging_options import log_options, quieten_libraries
from headrace.deploy.numbers import SEED
from headrace.deploy.process import on_stop_signal
from headrace.deploy.progress import make_progress_view
from headrace.deploy.ray_version import require_supported_ray
from headrace.deploy.run_file import RunFile, read_run_file
from headrace.learner.training.run_sections import LearnerRun
from headrace.protocol.broker_choice import split_addresses
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.zeromq.invitation_file import load_invitation


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--broker",
    "addresses",
    multiple=True,
    help="The broker's address; repeat it for several brokers; default: those of [broker].",
)
@click.option(
    "--join",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HEADRACE_JOIN",
    show_envvar=True,
    help="Invitation file, for a broker with keys; one for each broker, in their order.",
)
@click.option("--seed", type=SEED, help="Seed of the learner; default: [run] seed.")
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
@click.option(
    "--takeover", is_flag=True, help="End another learner of the broker instead of being refused."
)
@options.stop_on_eof
@log_options
def command(  # noqa: PLR0913 - one parameter per option
    run_file: Path,
    addresses: tuple[str, ...],
    join: tuple[Path, ...],
    seed: int | None,
    runs: Path,
    resume: bool,
    takeover: bool,
    stop_on_eof: bool,
) -> None:
    """Trains a run described in a TOML file on the broker's batches.

    Ctrl-C or SIGTERM stops it after a checkpoint, from which --resume continues.
    """
    require_supported_ray()
    run = read_run_file(run_file)
    plan = plan_of(run, addresses, seed, runs, resume=resume)
    plan = msgspec.structs.replace(plan, takeover=takeover)
    if join:
        invited_to = tuple(load_invitation(file, "learner").address for file in join)
        plan = msgspec.structs.replace(
            plan,
            addresses=plan.addresses if addresses or run.broker.addresses else invited_to,
            join=tuple(str(file.absolute()) for file in join),
        )
    # Imported here, so that a mistake in the file is reported before torch and Ray are loaded.
    with extra("learner"):
        from headrace.learner.training.training_loop import Training, start_ray

    quieten_libraries()
    view = make_progress_view()
    training = Training(plan, view)
    config = training.prepare()
    start_ray()
    on_stop_signal(training.stop, stop_on_eof=stop_on_eof)
    with view:
        summary = training.run(config)
    goal = plan.run.stop.episode_return_mean
    returned = summary.episode_return_mean
    click.echo(
        f"{summary.name}: stopped by {summary.stopped_by} after {summary.env_steps} env steps, "
        f"{summary.wall_s:.0f} s, mean return {'-' if returned is None else f'{returned:.1f}'}; "
        f"see {plan.folder}"
    )
    missed = goal is not None and summary.stopped_by in ("env_steps", "wall_s")
    raise SystemExit(ExitCode.GOAL_MISSED if missed else ExitCode.OK)


def plan_of(
    run: RunFile, addresses: Sequence[str], seed: int | None, runs: Path, *, resume: bool
) -> LearnerRun:
    """Returns the learner's part of a run file, overridden by command-line options.

    Raises:
        ConfigError: a broker's address is invalid.
    """
    dialled = split_addresses(addresses) if addresses else learner_addresses(run.broker)
    for address in dialled:
        BrokerAddress.parse(address)
    section = run.run if seed is None else msgspec.structs.replace(run.run, seed=seed)
    return LearnerRun(
        run=section,
        environment=run.environment,
        learner=run.learner,
        addresses=dialled,
        folder=str(runs / section.name),
        resume=resume,
    )
