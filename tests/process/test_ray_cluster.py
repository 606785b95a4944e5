"""A learner whose runners and learners are on two hosts of a Ray cluster."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.hosts import are_available
from support.commands import Commands, Process
from support.running import wait_until
from support.virtual_cluster import Cluster

from headrace.deploy.exit_codes import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(900)]

LEARNER = "_WrappedExecutable"
"""What RLlib calls the process of a learner."""
STARTED_S = 180
RECOVERED_S = 90
TRAINED_S = 480
CUT_S = 20.0
RUN = """
[run]
name = "try"
seed = 1
stop = {{ {stop} }}

[environment]
id = "{environment}"

[learner]
algorithm = "PPO"
{module}

[learner.training]
lr = 3e-4
train_batch_size_per_learner = 2000
minibatch_size = 128
num_epochs = 6
vf_loss_coeff = 0.01

[learner.env_runners]
num_env_runners = 2
custom_resources_per_env_runner = {{ runner = 1 }}

[learner.learners]
num_learners = 2
custom_resources_per_learner = {{ learner = 1 }}
"""
WORLD = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class OwnWorld(CartPoleEnv):
    pass


gymnasium.register("OwnWorld-v0", entry_point="own_world:OwnWorld", max_episode_steps=500)
"""
NETWORK = """
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule


class OwnNetwork(DefaultPPOTorchRLModule):
    pass
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if not are_available():
        pytest.skip("virtual hosts need root, and Linux's network namespaces")
    with Cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def commands(cluster: Cluster) -> Iterator[Commands]:
    """Ended before the hosts are."""
    commands = Commands(cluster.folder)
    yield commands
    commands.end()


def write_run(
    commands: Commands, stop: str, environment: str = "CartPole-v1", module: str = ""
) -> None:
    text = RUN.format(stop=stop, environment=environment, module=module)
    commands.run_file.write_text(text)


def invite(commands: Commands, address: str, role: str) -> str:
    """Returns the path of an invitation that is in the run's folder."""
    invitation = commands.folder / f"{role}.join"
    headrace(commands, "invite", role, role, "--address", address, "-o", str(invitation))
    return str(invitation)


def headrace(commands: Commands, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "headrace.deploy", *arguments], cwd=commands.folder, check=True
    )


def start_broker(cluster: Cluster, commands: Commands, *options: str) -> str:
    """Starts a broker on a host of its own; returns its address."""
    commands.prefix = cluster.hosts.running("broker")
    _, address, _ = commands.start_broker(f"tcp://{cluster.hosts.address('broker')}:0", *options)
    return address


def start_actors(cluster: Cluster, commands: Commands, address: str) -> None:
    commands.prefix = cluster.hosts.running("actors")
    for number in range(4):
        name = f"actor.{number}"
        commands.start(name, "actor", "--broker", address, "--id", name)


def start_learner(cluster: Cluster, commands: Commands, *options: str) -> Process:
    commands.prefix = cluster.driving()
    return commands.start("learner", "learner", "run.toml", *options)


def iterations(commands: Commands) -> int:
    return commands.text("learner").count("iteration ")


def wait_for_iterations(commands: Commands, learner: Process, count: int, within_s: float) -> None:
    def is_reached() -> bool:
        return iterations(commands) >= count or learner.poll() is not None

    wait_until(is_reached, within_s)
    assert iterations(commands) >= count, commands.text("learner")


def require_both_hosts(cluster: Cluster) -> None:
    for kinds in cluster.ray_processes():
        assert {"BrokerEnvRunner", LEARNER} <= kinds


def test_ppo_with_runners_and_learners_on_two_hosts_trains_on_after_one_was_cut_off_for_20_s(
    cluster: Cluster, commands: Commands
) -> None:
    write_run(commands, "episode_return_mean = 450, wall_s = 600")
    address = start_broker(cluster, commands, "--insecure")
    start_actors(cluster, commands, address)
    learner = start_learner(cluster, commands, "--broker", address)
    wait_for_iterations(commands, learner, 6, STARTED_S)
    require_both_hosts(cluster)
    before, heal_at_s = iterations(commands), time.monotonic() + CUT_S
    cluster.hosts.cut("second")
    wait_until(lambda: time.monotonic() >= heal_at_s or learner.poll() is not None, 2 * CUT_S)
    assert iterations(commands) <= before + 1, "an update needs both learners"
    cluster.hosts.heal("second")
    wait_for_iterations(commands, learner, before + 4, RECOVERED_S)
    require_both_hosts(cluster)
    assert learner.wait(TRAINED_S) == ExitCode.OK, commands.text("learner")
    assert commands.summary["stopped_by"] == "episode_return_mean"
    assert commands.summary["batches"]["stale"] <= 0.05 * commands.summary["batches"]["produced"]


def test_a_runner_whose_host_lacks_the_invitation_ends_the_run_with_a_sentence(
    cluster: Cluster, commands: Commands
) -> None:
    write_run(commands, "env_steps = 8_000")
    headrace(commands, "keygen")
    address = start_broker(cluster, commands, "--keys", "headrace-keys")
    invitation = invite(commands, address, "learner")
    learner = start_learner(cluster, commands, "--join", invitation)
    assert learner.wait(STARTED_S) == ExitCode.CONFIG, commands.text("learner")
    sentence = (
        rf"(?m)^headrace: remote runner \d cannot work: on {re.escape(cluster.second.address)}: "
        rf"cannot read the invitation {re.escape(invitation)}"
    )
    assert re.search(sentence, commands.text("learner")), commands.text("learner")


def test_the_code_of_a_run_reaches_the_other_host(cluster: Cluster, commands: Commands) -> None:
    (commands.folder / "own_world.py").write_text(WORLD)
    (commands.folder / "own_network.py").write_text(NETWORK)
    write_run(
        commands,
        "env_steps = 12_000",
        environment="own_world:OwnWorld-v0",
        module='module = "own_network:OwnNetwork"',
    )
    address = start_broker(cluster, commands, "--insecure")
    start_actors(cluster, commands, address)
    learner = start_learner(cluster, commands, "--broker", address)
    wait_for_iterations(commands, learner, 1, STARTED_S)
    require_both_hosts(cluster)
    assert learner.wait(TRAINED_S) == ExitCode.OK, commands.text("learner")
    assert "sending own_network.py, own_world.py to the hosts" in commands.text("learner")
    assert commands.summary["stopped_by"] == "env_steps"
