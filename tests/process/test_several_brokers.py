"""Several brokers as processes: with `headrace up`, and one that dies."""

from __future__ import annotations

import json
import signal
import time

import pytest
from support.commands import Commands
from support.machine import scaled
from support.running import wait_until

from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.broker_choice import choose_broker

TRAINED_S = 240
MANY = """
[run]
name = "try"
seed = 1
stop = { episode_return_mean = 450, wall_s = 600 }

[environment]
id = "CartPole-v1"

[learner]
algorithm = "PPO"

[learner.training]
lr = 3e-4
train_batch_size_per_learner = 4000
minibatch_size = 256
num_epochs = 6
vf_loss_coeff = 0.01

[broker]
address = "tcp://127.0.0.1:0"
http = "127.0.0.1:0"
count = 3

[actors]
count = 6
"""


@pytest.mark.slow
def test_six_actors_that_were_given_three_brokers_train_cartpole_to_450(
    commands: Commands,
) -> None:
    commands.run_file.write_text(MANY)
    running = commands.start("up", "up", "run.toml")
    folder = commands.folder / "runs" / "try"
    announcements = [folder / f"broker-{number}.json" for number in range(3)]
    wait_until(lambda: all(path.exists() for path in announcements))
    announced = [json.loads(path.read_text()) for path in announcements]
    addresses = [one["address"] for one in announced]
    shown = commands.folder / "status.json"

    def brokers_by_actor() -> dict[str, str]:
        options = [option for one in announced for option in ("--http", one["http"])]
        with shown.open("wb") as file:
            asked = commands.start("status", "status", "--json", *options, output=file.fileno())
        assert asked.wait(60) == ExitCode.OK
        actors = json.loads(shown.read_text())["actors"]
        return {actor["actor"]: addresses[int(actor["broker"]) - 1] for actor in actors}

    wait_until(lambda: len(brokers_by_actor()) == 6, 60)
    assert all(
        broker == choose_broker(addresses, actor) for actor, broker in brokers_by_actor().items()
    )
    assert running.wait(600) == ExitCode.OK, commands.text("up")
    summary = commands.summary
    assert summary["stopped_by"] == "episode_return_mean"
    assert summary["policy_lag_mean"] <= 1.0
    assert summary["batches"]["stale"] <= 0.05 * summary["batches"]["produced"]
    logs = folder / "logs"
    assert sum("uses the broker" in path.read_text() for path in logs.glob("actor-*.log")) == 6


@pytest.mark.slow
@pytest.mark.nightly
def test_training_goes_on_at_the_others_rate_when_a_broker_is_gone_for_good(
    commands: Commands,
) -> None:
    commands.write_run("env_steps = 100_000_000")
    brokers = [commands.start_broker() for _ in range(3)]
    addresses = [address for _, address, _ in brokers]
    dialled = [option for address in addresses for option in ("--broker", address)]
    for number, address in enumerate(addresses):
        for twin in range(2):
            name = f"actor-{number}-{twin}"
            commands.start(name, "actor", "--broker", address, "--id", name)
    learner = commands.start("learner", "learner", "run.toml", *dialled)

    def iterations() -> int:
        return commands.text("learner").count("iteration ")

    wait_until(lambda: iterations() >= 5, TRAINED_S)
    brokers[1][0].kill()
    killed_at_s, before = time.monotonic(), iterations()
    wait_until(lambda: iterations() > before + 1, 30)
    assert time.monotonic() - killed_at_s < scaled(15)
    wait_until(lambda: "is silent: the others take its share" in commands.text("learner"), 30)
    counted, begun_s = iterations(), time.monotonic()
    wait_until(lambda: iterations() >= counted + 10, TRAINED_S)
    assert (time.monotonic() - begun_s) / 10 < scaled(3), "an update of 1,000 env steps"
    learner.send_signal(signal.SIGTERM)
    assert learner.wait(60) == ExitCode.OK
    assert commands.summary["batches"]["stale"] <= 0.05 * commands.summary["batches"]["produced"]
