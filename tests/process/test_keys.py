"""A run with keys, as a person starts it."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from support.commands import Commands
from support.running import wait_until

from headrace.broker.access.key_folder import KeyFolder
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import fetch_status
from headrace.protocol.invitation import Invitation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def run(commands: Commands, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "headrace.deploy", *arguments], cwd=commands.folder, check=True
    )


def test_an_address_that_other_machines_can_reach_needs_keys(commands: Commands) -> None:
    broker = commands.start("open", "broker", "--address", "tcp://0.0.0.0:0", "--http", "")
    assert broker.wait(20) == ExitCode.CONFIG
    assert "headrace keygen" in commands.text("open")
    run(commands, "keygen")
    address = ("--address", "tcp://0.0.0.0:0", "--http", "")
    guarded = commands.start("guarded", "broker", *address, "--keys", "headrace-keys")
    wait_until(lambda: "listening at" in commands.text("guarded"))
    guarded.terminate()
    assert guarded.wait(20) == ExitCode.OK


def test_a_run_with_keys_trains_and_leaks_no_secret(commands: Commands) -> None:
    commands.write_run("env_steps = 8_000")
    run(commands, "keygen")
    _, address, url = commands.start_broker("tcp://127.0.0.1:0", "--keys", "headrace-keys")
    for role, name in (("actor", "walker"), ("learner", "trainer")):
        run(commands, "invite", role, name, "--address", address, "-o", f"{name}.join")
    learner = commands.start("learner", "learner", "run.toml", "--join", "trainer.join", "-v")
    actor = commands.start("actor", "actor", "--join", "walker.join", "-v")
    stranger = commands.start("stranger", "actor", "--broker", address)
    wait_until(lambda: fetch_status(url).ledger.consumed > 0, 60)
    assert [status.actor.partition(".")[0] for status in fetch_status(url).actors] == ["walker"]
    secrets = [
        Invitation.parse((commands.folder / f"{name}.join").read_text()).secret_key
        for name in ("walker", "trainer")
    ]
    secrets.append(KeyFolder(commands.folder / "headrace-keys").server_key().secret_key)
    command_lines = " ".join(
        " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    )
    assert not [secret for secret in secrets if secret in command_lines]
    assert learner.wait(120) == ExitCode.OK
    assert actor.poll() is None
    assert stranger.poll() is None
    for path in commands.folder.rglob("*"):
        if path.is_file() and path.suffix != ".join" and "headrace-keys" not in path.parts:
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path
