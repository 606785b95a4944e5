"""`headrace conformance`."""

from __future__ import annotations

import sys

import click

from headrace.deploy.conformance.candidate import ADDRESS_PLACEHOLDER, ADDRESS_VARIABLE
from headrace.deploy.conformance.play import SceneResult, play_all
from headrace.deploy.conformance.scenes import SCENES, Scene
from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.errors import ConfigError
from headrace.protocol.spelling import nearest

_EPILOG = f"""\b
COMMAND starts the client with one environment of CartPole-v1's spaces: observations of four
float32, the actions 0 and 1. {ADDRESS_PLACEHOLDER} in it becomes the broker's address, which is
also in the environment as {ADDRESS_VARIABLE}. Each scene starts it anew, and ends it.

\b
Examples:
  headrace conformance -- headrace actor --env CartPole-v1 --broker {ADDRESS_PLACEHOLDER}
  headrace conformance --only gap --only credit -- ./my_client {ADDRESS_PLACEHOLDER}
"""


@click.command(epilog=_EPILOG)
@click.option("--only", "names", multiple=True, metavar="SCENE", help="Play this one; repeatable.")
@click.option("--list", "is_listing", is_flag=True, help="Say what is played, and end.")
@click.option(
    "--jobs",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Scenes to play at a time.",
)
@click.option(
    "--start-s",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0.0, min_open=True),
    help="How long the client may take until its first hello.",
)
@click.argument("client", nargs=-1, metavar="COMMAND...")
def command(
    names: tuple[str, ...], is_listing: bool, jobs: int, start_s: float, client: tuple[str, ...]
) -> None:
    """Plays the broker's part against a client in any language, and tells what it does wrong.

    Exits with 0 if the client passes every scene, and with 1 if not.
    """
    scenes = _chosen(names)
    if is_listing:
        for scene in scenes:
            click.echo(f"{scene.name:16} {scene.promise}")
        return
    if not client:
        raise click.UsageError("say what starts the client: headrace conformance -- COMMAND...")
    failed = 0
    try:
        for result in play_all(scenes, client, jobs=jobs, start_s=start_s):
            failed += result.fault is not None
            _tell(result)
    except OSError as error:
        raise ConfigError(f"{client[0]!r} cannot be started: {error.strerror}") from error
    click.echo(f"{len(scenes) - failed} of {len(scenes)} scenes passed")
    if failed:
        sys.exit(ExitCode.FAILED)


def _chosen(names: tuple[str, ...]) -> list[Scene]:
    known = {scene.name: scene for scene in SCENES}
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no scene {name!r}; {nearest(name, known)}")
    return [known[name] for name in names] or list(SCENES)


def _tell(result: SceneResult) -> None:
    scene, fault = result.scene, result.fault
    if fault is None:
        click.echo(f"passed  {scene.name:16} {scene.promise}")
        return
    click.echo(f"FAILED  {scene.name:16} {scene.promise}")
    click.echo(f"        The client {fault.sentence}.")
    click.echo(f"        See {fault.section}.")
