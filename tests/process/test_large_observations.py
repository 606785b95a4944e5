"""Pictures of a full HD screen: credit counts bytes as well as env steps."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from support.commands import Commands
from support.running import wait_until

from headrace.protocol.limits import MIB

TRAINED_S = 600
MOST_BYTES = 1024 * MIB
RUN = """
[run]
name = "try"
seed = 1
stop = { episode_return_mean = 14, wall_s = 900 }

[environment]
id = "support.screens:Screens-v0"

[learner]
algorithm = "PPO"
module = "support.screen_module:ScreenModule"

[learner.training]
lr = 1e-3
train_batch_size_per_learner = 192
minibatch_size = 32
num_epochs = 2

[broker]
address = "tcp://127.0.0.1:0"
http = "127.0.0.1:0"

[actors]
count = 1
"""


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_fleet_that_sees_full_hd_screens_trains_within_a_gib_each(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two updates of 192 env steps, as much as PPO's window, are 2.4 GB."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    commands.run_file.write_text(RUN)
    running = commands.start("up", "up", "run.toml")
    peaks: dict[str, int] = {}

    def has_ended() -> bool:
        for process in psutil.Process(running.pid).children():
            try:
                command = process.cmdline()
                kind = next((one for one in ("broker", "actor") if one in command), None)
                if kind is not None:
                    peaks[kind] = max(peaks.get(kind, 0), process.memory_info().rss)
            except psutil.Error:
                continue
        return running.poll() is not None

    try:
        wait_until(has_ended, TRAINED_S)
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
    print(f"peaks: { ({kind: f'{size / MIB:.0f} MiB' for kind, size in peaks.items()}) }")
    assert running.returncode == 0, commands.text("up")
    assert peaks["actor"] < MOST_BYTES
    assert peaks["broker"] < MOST_BYTES
