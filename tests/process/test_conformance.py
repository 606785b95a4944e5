"""`headrace conformance`: passes our own client, and tells broken ones what they do wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.broken_clients import (
    forget_epochs,
    forget_lookback,
    forget_lost_batches,
    ignore_credit,
    live_on_when_superseded,
    repeat_blindly,
)

from headrace.deploy.conformance.scenes import SCENES
from headrace.deploy.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HEADRACE = (sys.executable, "-m", "headrace.deploy")
OURS = (*HEADRACE, "actor", "--env", "CartPole-v1", "--broker", "{broker}")
TESTS = Path(__file__).parents[1]


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HEADRACE, "conformance", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


def test_our_own_client_passes_every_scene() -> None:
    played = play("--", *OURS)
    assert played.returncode == ExitCode.OK, played.stdout
    assert f"{len(SCENES)} of {len(SCENES)} scenes passed" in played.stdout


@pytest.mark.parametrize(
    ("defect", "scene", "reason"),
    [
        (forget_lost_batches, "lost-batch", "does not repeat a batch that is not accepted"),
        (ignore_credit, "credit", "began batch 4 without credit for it"),
        (forget_epochs, "new-epoch", "does not tell version 2.1"),
        (forget_lookback, "episodes", "brings a lookback of 0 steps and not 2"),
        (live_on_when_superseded, "superseded", "goes on after a reject 'superseded'"),
        (repeat_blindly, "gap", "sent batch 3 again without sent_before"),
    ],
)
def test_a_broken_client_is_told_what_it_does_wrong(
    defect: Callable[[], None], scene: str, reason: str
) -> None:
    client = (sys.executable, "-m", "support.broken_clients", defect.__name__, "{broker}")
    played = play("--only", scene, "--", *client)
    assert played.returncode == ExitCode.FAILED
    assert reason in played.stdout
    assert "See SPEC.md, section" in played.stdout


def test_a_client_that_ends_by_itself_is_quoted() -> None:
    script = "import sys; sys.exit('I cannot find my simulator')"
    played = play("--only", "credit", "--", sys.executable, "-c", script)
    assert played.returncode == ExitCode.FAILED
    assert "ended with exit status 1" in played.stdout
    assert "I cannot find my simulator" in played.stdout


def test_a_command_that_is_not_there_is_a_clear_error() -> None:
    played = play("--only", "credit", "--", "no-such-client")
    assert played.returncode == ExitCode.CONFIG
    assert "'no-such-client' cannot be started" in played.stderr


def test_a_scene_that_is_not_there_is_a_clear_error() -> None:
    played = play("--only", "lost-bach", "--", "any")
    assert played.returncode == ExitCode.CONFIG
    assert "did you mean 'lost-batch'?" in played.stderr


def test_scenes_are_listed_with_what_they_ask_for() -> None:
    listed = play("--list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == [scene.name for scene in SCENES]
