"""The policy server as a person starts it."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from support.commands import Commands, Process
from support.running import wait_until

from headrace.actors.inference.policy_client import PolicyClient
from headrace.broker.access.key_folder import KeyFolder
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import fetch_status
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.invitation import Invitation

pytestmark = [pytest.mark.slow, pytest.mark.rllib, pytest.mark.timeout(180)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "cartpole_client.py"


def start_server(commands: Commands, broker: str, *options: str) -> str:
    announced = commands.folder / "server.json"
    own = ("--broker", broker, "--announce", str(announced), "--id", "server")
    commands.start("server", "policy-server", "--listen", "tcp://127.0.0.1:0", *own, *options)
    wait_until(announced.exists, 60)
    endpoint: str = json.loads(announced.read_text())["endpoint"]
    return endpoint


def test_scripts_that_act_locally_and_remotely_train_one_learner(commands: Commands) -> None:
    commands.write_run("env_steps = 8_000")
    _, broker, url = commands.start_broker()
    learner = commands.start("learner", "learner", "run.toml", "--broker", broker)
    server = start_server(commands, broker)
    scripts = [
        Process([sys.executable, str(EXAMPLE), *arguments])
        for arguments in ((broker,), (server, "remote"), (server, "remote"))
    ]
    commands.started += scripts
    wait_until(lambda: len(fetch_status(url).actors) == 2, 60)
    wait_until(lambda: all(actor.env_steps > 100 for actor in fetch_status(url).actors), 60)
    assert learner.wait(120) == ExitCode.OK
    assert all(script.poll() is None for script in scripts)
    assert fetch_status(url).ledger.rejected == 0


def get_action(invitation: Invitation, wait_s: float) -> bool:
    """Returns whether an action arrives in time."""
    client = PolicyClient(None, "remote", invitation=invitation)
    timer = threading.Timer(wait_s, client.close)
    timer.start()
    try:
        client.get_action(client.start_episode(), np.zeros(4, np.float32))
    except LocalProtocolError:
        return False
    finally:
        timer.cancel()
        client.close()
    return True


def test_a_server_with_keys_serves_only_invited_actors(commands: Commands) -> None:
    commands.write_run("env_steps = 1_000_000")
    keys = KeyFolder(commands.folder / "server-keys")
    keys.create()
    _, broker, _ = commands.start_broker()
    commands.start("learner", "learner", "run.toml", "--broker", broker)
    endpoint = start_server(commands, broker, "--keys", "server-keys")
    friend = keys.invite("actor", "friend", endpoint)
    wrong_role = keys.invite("learner", "learner", endpoint)
    other = KeyFolder(commands.folder / "other-keys")
    other.create()
    stranger = other.invite("actor", "stranger", endpoint)
    knows_the_server = Invitation(
        endpoint, "actor", "stranger", friend.server_key, stranger.secret_key
    )
    assert get_action(friend, 60.0)
    for intruder in (stranger, knows_the_server, wrong_role):
        assert not get_action(intruder, 1.0)
    assert get_action(friend, 10.0)
    keys.revoke("friend")
    wait_until(lambda: not get_action(friend, 1.0), 20)


def test_a_server_that_other_machines_can_reach_needs_keys(commands: Commands) -> None:
    server = commands.start("open", "policy-server", "--listen", "tcp://0.0.0.0:0")
    assert server.wait(30) == ExitCode.CONFIG
    assert "headrace keygen" in commands.text("open")
