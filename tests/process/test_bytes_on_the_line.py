"""What crosses the line between a learner and brokers that stand beside their actors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos.hosts import Hosts, are_available
from support.commands import Commands
from support.machine import scaled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nightly,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not are_available(), reason="needs root and iproute2"),
]

BROKERS, ACTORS = 2, 3
"""Actors at each broker."""
OVERHEAD = 1.15
"""Of TCP, ZeroMQ and headers, with what is said each second."""
LEARNER = """
[learner]
algorithm = "PPO"

[learner.training]
train_batch_size_per_learner = 2000
minibatch_size = 250
num_epochs = 2
"""


def test_weights_cross_once_per_broker_and_each_batch_once(commands: Commands) -> None:
    commands.write_run("env_steps = 60000", LEARNER)
    with Hosts(["site", "sims"]) as hosts:
        commands.prefix = hosts.running("sims")
        brokers = [_start_broker(commands, hosts, number) for number in range(BROKERS)]
        for address, _ in brokers:
            for _ in range(ACTORS):
                commands.start("actor", "actor", "--broker", address)
        commands.prefix = hosts.running("site")
        before = _bytes_of(hosts, "site")
        given = [argument for address, _ in brokers for argument in ("--broker", address)]
        learner = commands.start("learner", "learner", "run.toml", *given)
        assert learner.wait(300) == 0, commands.text("learner")
        received, sent = (
            after - old for after, old in zip(_bytes_of(hosts, "site"), before, strict=True)
        )
        traffic = [_status(hosts, http)["traffic"] for _, http in brokers]
        commands.end()
    weights = sum(one["published_bytes"] for one in traffic)
    trajectories = sum(one["leased_bytes"] for one in traffic)
    print(f"weights {weights:,}, sent {sent:,}; batches {trajectories:,}, received {received:,}")
    assert min(one["published_bytes"] for one in traffic) > 1_000_000
    assert 0.9 * weights < sent < OVERHEAD * weights, "once per broker, not once per actor"
    assert trajectories < received < OVERHEAD * trajectories, "each batch once"


def _start_broker(commands: Commands, hosts: Hosts, number: int) -> tuple[str, str]:
    """Returns its address, as the learner sees it, and its HTTP address."""
    address = f"tcp://{hosts.address('sims')}:{5600 + 10 * number}"
    _, address, http = commands.start_broker(address, "--insecure")
    return address, http


def _status(hosts: Hosts, http: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "headrace.deploy", "status", "--json", "--http", http]
    done = subprocess.run(
        [*hosts.running("sims"), *command],
        env=dict(os.environ),
        capture_output=True,
        check=True,
        timeout=scaled(30),
    )
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def _bytes_of(hosts: Hosts, name: str) -> tuple[int, int]:
    """Returns how many bytes a host's line has brought and taken."""
    counters = Path("/sys/class/net/eth0/statistics")
    read = ["cat", str(counters / "rx_bytes"), str(counters / "tx_bytes")]
    done = subprocess.run([*hosts.running(name), *read], capture_output=True, check=True, text=True)
    received, sent = map(int, done.stdout.split())
    return received, sent
