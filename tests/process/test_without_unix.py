"""What runs beside a simulator needs nothing that only Unix has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Commands
from support.running import Context, Learner, wait_until
from support.serving import one_module, publish

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import fetch_status

WITHOUT_UNIX = Path(__file__).parent / "without_unix"
POINTS = """
import gymnasium, numpy
from gymnasium.spaces import Box, Discrete

class Points(gymnasium.Env):
    observation_space, action_space = Box(-9.0, 9.0, (2,), numpy.float32), Discrete(2)
    def reset(self, *, seed=None, options=None):
        self.t = 0
        return numpy.zeros(2, numpy.float32), {}
    def step(self, action):
        self.t += 1
        return numpy.full(2, self.t, numpy.float32), 1.0, self.t == 5, False, {}

gymnasium.register("Points-v0", Points)
"""
THIN = """
import sys
from headrace.actors import PolicyClient
for address, mode in zip(sys.argv[1::2], sys.argv[2::2]):
    with PolicyClient(address, mode) as client:
        episode = client.start_episode()
        assert client.get_action(episode, [0.0, 0.0]) in (0, 1)
        client.log_returns(episode, 1.0)
        client.end_episode(episode, [1.0, 1.0])
for name in ("fcntl", "resource"):
    assert sys.modules[name] is None
"""


@pytest.fixture
def hidden(commands: Commands) -> Commands:
    """Commands in whose processes these modules are missing."""
    path = os.pathsep.join([str(WITHOUT_UNIX), os.environ.get("PYTHONPATH", "")])
    commands.prefix = ["env", f"PYTHONPATH={path}"]
    return commands


@pytest.mark.rllib
def test_actor_policy_server_status_and_a_thin_client_run(
    hidden: Commands, context: Context
) -> None:
    (hidden.folder / "points.py").write_text(POINTS)
    (hidden.folder / "thin.py").write_text(THIN)
    _, address, url = hidden.start_broker()
    with Learner(context, address) as learner:
        publish(learner, one_module())
        announced = hidden.folder / "server.json"
        listen = ("--listen", "tcp://127.0.0.1:0", "--announce", str(announced))
        server = hidden.start("server", "policy-server", "--broker", address, *listen)
        wait_until(announced.exists, 60)
        [endpoint] = [text for text in announced.read_text().split('"') if "tcp://" in text]
        thin = [*hidden.prefix, sys.executable, "thin.py", address, "local", endpoint, "remote"]
        done = subprocess.run(thin, cwd=hidden.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # After the others: nobody takes the batches, so its credit ends soon.
        actor = hidden.start("actor", "actor", "--broker", address, "--env", "points:Points-v0")
        wait_until(lambda: sum(a.is_live for a in fetch_status(url).actors) == 2, 60)
        status = hidden.start("status", "status", "--http", url)
        assert status.wait(60) == ExitCode.OK
        assert "2 live actors" in hidden.text("status")
        for process in (actor, server):
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == ExitCode.OK


def test_keys_are_made_and_used(hidden: Commands) -> None:
    assert hidden.start("keygen", "keygen").wait(60) == ExitCode.OK, hidden.text("keygen")
    invite = ("invite", "actor", "walker", "--address", "tcp://127.0.0.1:5555")
    assert hidden.start("invite", *invite).wait(60) == ExitCode.OK, hidden.text("invite")
