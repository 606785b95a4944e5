"""The `headrace` command. A sub-command's module is imported only when it is called."""

from __future__ import annotations

import importlib
import logging
import os
import sys

import click

from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.errors import ConfigError, HeadraceError, RefusedError, RejectCode
from headrace.protocol.spelling import nearest

_COMMANDS = {
    "broker": "Routes trajectories from actors to a learner, and weights back.",
    "learner": "Trains a run described in a TOML file on the broker's batches.",
    "actor": "Steps a Gymnasium environment with the learner's newest policy.",
    "policy-server": "Serves actions to simulators that cannot run a policy themselves.",
    "rllink-gateway": "Connects RLlib's external clients (RLlink) to the broker.",
    "keygen": "Creates keys for a broker that other machines can reach.",
    "invite": "Invites an actor or a learner to a broker with keys.",
    "revoke": "Revokes an invitation, without a restart.",
    "conformance": "Tests a client against a scripted broker and reports violations.",
    "status": "Shows a broker's actors, learner and batch counts.",
    "dead-letters": "Shows batches that were given up because learners crashed on them.",
    "journal": "Verifies and prints a broker's journal.",
    "up": "Starts a whole run on this machine: broker, learner and actors.",
}
_EPILOG = """\b
Examples:
  headrace up run.toml                     a whole run on this machine
  headrace broker                          the parts, each in its own shell,
  headrace learner run.toml                in any order
  headrace actor --env CartPole-v1
  headrace actor --broker tcp://10.0.0.5:5555 --environments 8
  headrace status --watch                  actors with rates and policy lag
"""


class _LazyGroup(click.Group):
    """Lists commands by name, and imports one only to run it."""

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
    """Runs the command line; a HeadraceError becomes one line and a named exit code.

    Environments and functions may be in modules of the current folder. It comes last in `sys.path`,
    so that its files do not shadow installed packages.
    """
    sys.path.append(os.getcwd())
    try:
        headrace()
    except HeadraceError as error:
        logging.getLogger("headrace").debug("the error below", exc_info=error)
        click.echo(f"headrace: {error}", err=True)
        sys.exit(exit_code_of(error))


def exit_code_of(error: HeadraceError) -> ExitCode:
    """Returns the exit code for an error."""
    if isinstance(error, RefusedError):
        is_superseded = error.code is RejectCode.SUPERSEDED
        return ExitCode.SUPERSEDED if is_superseded else ExitCode.REFUSED
    return ExitCode.CONFIG if isinstance(error, ConfigError) else ExitCode.FAILED
