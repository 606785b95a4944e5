"""`headrace conformance` passes our own client, and reports the violations of broken ones."""

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

from headrace.deploy.conformance.cases import CASES
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


def test_our_own_client_passes_every_case() -> None:
    played = play("--", *OURS)
    assert played.returncode == ExitCode.OK, played.stdout
    assert f"{len(CASES)} of {len(CASES)} cases passed" in played.stdout


@pytest.mark.parametrize(
    ("defect", "case", "reason"),
    [
        (forget_lost_batches, "lost-batch", "does not resend a batch that is not accepted"),
        (ignore_credit, "credit", "began batch 4 without credit for it"),
        (forget_epochs, "new-epoch", "does not report version 2.1"),
        (forget_lookback, "episodes", "has a lookback of 0 steps instead of 2"),
        (live_on_when_superseded, "superseded", "keeps sending after a reject 'superseded'"),
        (repeat_blindly, "gap", "sent batch 3 again without sent_before"),
    ],
)
def test_a_broken_client_gets_its_violation_reported(
    defect: Callable[[], None], case: str, reason: str
) -> None:
    client = (sys.executable, "-m", "support.broken_clients", defect.__name__, "{broker}")
    played = play("--only", case, "--", *client)
    assert played.returncode == ExitCode.FAILED
    assert reason in played.stdout
    assert "See SPEC.md, section" in played.stdout


def test_the_output_of_a_client_that_exits_is_quoted() -> None:
    script = "import sys; sys.exit('I cannot find my simulator')"
    played = play("--only", "credit", "--", sys.executable, "-c", script)
    assert played.returncode == ExitCode.FAILED
    assert "ended with exit status 1" in played.stdout
    assert "I cannot find my simulator" in played.stdout


def test_a_missing_command_is_a_clear_error() -> None:
    played = play("--only", "credit", "--", "no-such-client")
    assert played.returncode == ExitCode.CONFIG
    assert "'no-such-client' cannot be started" in played.stderr


def test_an_unknown_case_is_a_clear_error() -> None:
    played = play("--only", "lost-bach", "--", "any")
    assert played.returncode == ExitCode.CONFIG
    assert "did you mean 'lost-batch'?" in played.stderr


def test_cases_are_listed() -> None:
    listed = play("--list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == [case.name for case in CASES]
