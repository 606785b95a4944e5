"""An episode that never ends leaves nothing behind in the learner and the broker."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from support.commands import Commands
from support.machine import scaled
from support.running import wait_until

from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.limits import MIB

ENDLESS = """
import gymnasium, numpy
from gymnasium.spaces import Box, Discrete
from ray.rllib.callbacks.callbacks import RLlibCallback

class Endless(gymnasium.Env):
    observation_space, action_space = Box(-1.0, 1.0, (8,), numpy.float32), Discrete(2)
    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}
    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}

class Counted(RLlibCallback):
    def on_episode_end(self, *, metrics_logger, **_):
        metrics_logger.log_value("ended", 1)

gymnasium.register("Endless-v0", Endless)
"""
LEARNER = """
[learner]
callbacks = "endless:Counted"

[learner.training]
lr = 1e-4
train_batch_size_per_learner = 2000
minibatch_size = 1000
num_epochs = 1

[learner.model]
fcnet_hiddens = [16]
"""
FIRST, ALL = 20_000, 200_000
MAX_GROWTH = 20 * MIB


def env_steps_in(metrics: Path) -> int:
    if not metrics.exists():
        return 0
    complete = [line for line in metrics.read_text().splitlines(keepends=True) if "\n" in line]
    return int(json.loads(complete[-1])["env_steps"]) if complete else 0


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.rllib
@pytest.mark.timeout(2400)
def test_an_endless_episode_with_callbacks_grows_nothing(commands: Commands) -> None:
    (commands.folder / "endless.py").write_text(ENDLESS)
    commands.write_run(f"env_steps = {ALL}", LEARNER, 'id = "endless:Endless-v0"')
    broker, address, _ = commands.start_broker()
    learner = commands.start("learner", "learner", "run.toml", "--broker", address)
    commands.start("actor", "actor", "--broker", address)
    metrics = commands.folder / "runs" / "try" / "metrics.jsonl"
    processes = {"broker": psutil.Process(broker.pid), "learner": psutil.Process(learner.pid)}

    def wait_for(env_steps: int) -> dict[str, int]:
        wait_until(lambda: env_steps_in(metrics) >= env_steps or learner.poll() is not None, 900)
        return {name: process.memory_info().rss for name, process in processes.items()}

    first = wait_for(FIRST)
    last = wait_for(int(0.97 * ALL))
    growth = {name: (last[name] - first[name]) / MIB for name in first}
    print(f"growth in MiB from {FIRST:,} to {ALL:,} env steps: {growth}")
    assert all(mib * MIB < MAX_GROWTH for mib in growth.values()), growth
    assert learner.wait(scaled(120)) == ExitCode.OK, commands.text("learner")
