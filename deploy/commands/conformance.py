"""`headrace conformance`."""

from __future__ import annotations

import sys

import click

from headrace.deploy.conformance.cases import CASES, Case
from headrace.deploy.conformance.client_process import ADDRESS_PLACEHOLDER, ADDRESS_VARIABLE
from headrace.deploy.conformance.run_cases import CaseResult, run_all
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.numbers import NumberRange
from headrace.protocol.errors import ConfigError
from headrace.protocol.spelling import nearest

_EPILOG = f"""
COMMAND starts the client with one environment that has CartPole-v1's spaces: observations of four
float32, actions 0 and 1. {ADDRESS_PLACEHOLDER} in it is replaced by the broker's address, which is
also in the environment variable {ADDRESS_VARIABLE}. Each case starts and ends its own client.

\b
Examples:
  headrace conformance -- headrace actor --env CartPole-v1 --broker {ADDRESS_PLACEHOLDER}
  headrace conformance --only gap --only credit -- ./my_client {ADDRESS_PLACEHOLDER}
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--only", "names", multiple=True, metavar="CASE", help="Run only this case; repeatable."
)
@click.option("--list", "is_listing", is_flag=True, help="List the cases and exit.")
@click.option(
    "--jobs",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Number of cases to run at a time.",
)
@click.option(
    "--start-s",
    default=30.0,
    show_default=True,
    type=NumberRange(min=0.0, min_open=True),
    help="How long the client may take to send its first hello.",
)
@click.argument("client", nargs=-1, metavar="COMMAND...")
def command(
    names: tuple[str, ...], is_listing: bool, jobs: int, start_s: float, client: tuple[str, ...]
) -> None:
    """Tests a client in any language against a scripted broker, and reports violations.

    Exits with 0 if the client passes every case, otherwise with 1.
    """
    cases = _chosen(names)
    if is_listing:
        for case in cases:
            click.echo(f"{case.name:16} {case.promise}")
        return
    if not client:
        raise click.UsageError("name the client's command: headrace conformance -- COMMAND...")
    failed = 0
    try:
        for result in run_all(cases, client, jobs=jobs, start_s=start_s):
            failed += result.fault is not None
            _print_result(result)
    except OSError as error:
        raise ConfigError(f"{client[0]!r} cannot be started: {error.strerror}") from error
    click.echo(f"{len(cases) - failed} of {len(cases)} cases passed")
    if failed:
        sys.exit(ExitCode.FAILED)


def _chosen(names: tuple[str, ...]) -> list[Case]:
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no case {name!r}; {nearest(name, known)}")
    return [known[name] for name in names] or list(CASES)


def _print_result(result: CaseResult) -> None:
    case, fault = result.case, result.fault
    if fault is None:
        click.echo(f"passed  {case.name:16} {case.promise}")
        return
    click.echo(f"FAILED  {case.name:16} {case.promise}")
    click.echo(f"        The client {fault.sentence}.")
    click.echo(f"        See {fault.section}.")
