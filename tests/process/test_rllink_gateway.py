"""RLlib's own example of an external client, unmodified, several of them on one port."""

from __future__ import annotations

import json
import sys

import pytest
from support.commands import Commands, Process
from support.running import wait_until

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import fetch_status

pytestmark = [pytest.mark.slow, pytest.mark.rllib, pytest.mark.timeout(240)]

CLIENT = (
    "import sys\n"
    "from ray.rllib.examples.envs.classes.utils import dummy_external_client as example\n"
    "example._dummy_external_client(int(sys.argv[1]))"
)
APPO = """
[learner]
algorithm = "APPO"
training = { train_batch_size_per_learner = 500 }
env_runners = { rollout_fragment_length = 50 }
learners = { num_learners = 0 }
"""


@pytest.mark.nightly
@pytest.mark.parametrize("algorithm", ["PPO", "APPO"])
def test_rllibs_own_clients_train_through_one_port(commands: Commands, algorithm: str) -> None:
    commands.write_run("env_steps = 12_000", **({"learner": APPO} if algorithm == "APPO" else {}))
    _, broker, url = commands.start_broker()
    learner = commands.start("learner", "learner", "run.toml", "--broker", broker)
    announced = commands.folder / "gateway.json"
    own = ("--rllib-config", "run.toml", "--listen", "127.0.0.1:0", "--announce", str(announced))
    gateway = commands.start("gateway", "rllink-gateway", "--broker", broker, *own)
    wait_until(announced.exists, 60)
    port = json.loads(announced.read_text())["endpoint"].rpartition(":")[2]
    clients = [Process([sys.executable, "-W", "ignore", "-c", CLIENT, port]) for _ in range(3)]
    commands.started += clients
    wait_until(lambda: len(fetch_status(url).actors) == 3, 60)
    assert learner.wait(180) == ExitCode.OK
    assert all(client.poll() is None for client in clients)
    assert fetch_status(url).ledger.rejected == 0
    gateway.terminate()
    assert gateway.wait(30) == ExitCode.OK


def test_a_gateway_that_other_machines_can_reach_needs_insecure(commands: Commands) -> None:
    commands.write_run("env_steps = 1")
    gateway = commands.start(
        "gateway", "rllink-gateway", "--rllib-config", "run.toml", "--listen", "0.0.0.0:0"
    )
    assert gateway.wait(30) == ExitCode.CONFIG
    assert "--insecure" in commands.text("gateway")
