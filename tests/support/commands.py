"""The shipped command as real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from support.machine import scaled
from support.running import wait_until

RUN_FILE = """
[run]
name = "try"
seed = 1
checkpoint_every_s = 3
stop = {{ {stop} }}

[environment]
{environment}

{learner}

[broker]
address = "tcp://127.0.0.1:0"
http = "127.0.0.1:0"

[actors]
count = 2
"""


LEARNER = """
[learner]
algorithm = "PPO"

[learner.training]
lr = 1e-3
train_batch_size_per_learner = 1000
minibatch_size = 250
num_epochs = 4
"""


class Process(subprocess.Popen[bytes]):
    """A process whose waits scale with the machine's speed; see `support.machine`."""

    def wait(self, timeout: float | None = None) -> int:
        return super().wait(None if timeout is None else scaled(timeout))


class Commands:
    """Starts `headrace` sub-commands in a folder; `end` ends, by pid, those still running.

    Brokers are killed: asked to stop, they would wait for a learner to take the queued batches.

    Attributes:
        prefix: the start of their command lines.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Process] = []
        self._brokers: list[Process] = []
        self.run_file = folder / "run.toml"
        self.prefix: list[str] = []

    def write_run(
        self, stop: str, learner: str = LEARNER, environment: str = 'id = "CartPole-v1"'
    ) -> None:
        text = RUN_FILE.format(stop=stop, learner=learner, environment=environment)
        self.run_file.write_text(text)

    def start(self, name: str, *arguments: str, output: int | None = None) -> Process:
        with self.log(name).open("wb") as file:
            process = Process(
                [*self.prefix, sys.executable, "-m", "headrace.deploy", *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def start_broker(
        self, address: str = "tcp://127.0.0.1:0", *options: str
    ) -> tuple[Any, str, str]:
        """Returns the process, its address and its HTTP address."""
        announced = self.folder / "broker.json"
        announced.unlink(missing_ok=True)
        arguments = ["broker", "--address", address, "--http", "127.0.0.1:0"]
        process = self.start("broker", *arguments, "--announce", str(announced), *options)
        self._brokers.append(process)
        wait_until(announced.exists)
        found = json.loads(announced.read_text())
        return process, found["address"], found["http"]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def text(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(
            (self.folder / "runs" / "try" / "summary.json").read_text()
        )
        return summary

    def end(self) -> None:
        # Brokers last: without one, actors would wait to deliver their finished batches.
        for process in sorted(self.started, key=self._brokers.__contains__):
            if process.poll() is not None:
                continue
            children = psutil.Process(process.pid).children(recursive=True)
            if process in self._brokers:
                for started in (psutil.Process(process.pid), *children):
                    started.kill()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _, alive = psutil.wait_procs(children, timeout=scaled(10))
            for child in alive:
                child.kill()


def children_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def wait_for_end(processes: list[psutil.Process], timeout_s: float = 20.0) -> None:
    _, alive = psutil.wait_procs(processes, timeout=scaled(timeout_s))
    assert not alive


def versions_in(log: str) -> list[tuple[int, int]]:
    """Returns the policy versions that an actor logged, in order."""
    marker = "acting with policy version "
    lines = [line.split(marker)[1].strip() for line in log.splitlines() if marker in line]
    return [(int(epoch), int(number)) for epoch, number in (line.split(".") for line in lines)]
