"""The `headrace` command. A sub-command's module is imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys

import click

from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.errors import ConfigError, HeadraceError, RefusedError, RejectCode
from headrace.protocol.spelling import nearest

_COMMANDS = {
    "broker": "Routes trajectories from actors to a learner, and weights back.",
    "learner": "Trains the run of a TOML file on what the broker delivers.",
    "actor": "Steps a Gymnasium environment with the learner's newest policy.",
    "policy-server": "Acts for simulators beside which no policy can run.",
    "rllink-gateway": "Lets RLlib's own external clients (RLlink) feed the broker.",
    "keygen": "Makes the keys of a broker that others can reach.",
    "invite": "Invites an actor or a learner to a broker with keys.",
    "revoke": "Takes an invitation back, without a restart.",
    "conformance": "Plays the broker's part against a client, and tells what it does wrong.",
    "status": "Shows who is connected to a broker, and how the run stands.",
    "dead-letters": "Shows batches that were given up because learners died of them.",
    "journal": "Verifies and prints a broker's journal.",
    "up": "Starts a whole run on this machine: broker, learner and actors.",
}
_EPILOG = """\b
Examples:
  headrace up run.toml                     a whole run on this machine
  headrace broker                          the parts, each in a shell of its own,
  headrace learner run.toml                in any order
  headrace actor --env CartPole-v1
  headrace actor --broker tcp://10.0.0.5:5555 --environments 8
  headrace status --watch                  who is there, how fast, how fresh
"""


class _LazyGroup(click.Group):
    """Knows its commands by name, and loads one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"headrace.deploy.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            ctx.fail(f"No such command {args[0]!r}; {nearest(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, epilog=_EPILOG)
@click.version_option(package_name="headrace")
def headrace() -> None:
    """Moves experience from any number of simulators to one RLlib learner, and the policy back."""


def main() -> None:
    """Runs the command line; errors of headrace become one line and a named exit code.

    Environments and functions that are named may be modules of the present folder. It comes last,
    so that no file of it takes the place of an installed package.
    """
    sys.path.append(os.getcwd())
    try:
        headrace()
    except HeadraceError as error:
        click.echo(f"headrace: {error}", err=True)
        sys.exit(exit_code_of(error))


def exit_code_of(error: HeadraceError) -> ExitCode:
    """Returns the exit code that tells scripts what went wrong."""
    if isinstance(error, RefusedError):
        is_superseded = error.code is RejectCode.SUPERSEDED
        return ExitCode.SUPERSEDED if is_superseded else ExitCode.REFUSED
    return ExitCode.CONFIG if isinstance(error, ConfigError) else ExitCode.FAILED
