"""A broker and actors on this machine, for the duration of a training run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from examples.half_cheetah.train import ACTORS, ENV_ID, ENVIRONMENTS

_START_S = 30.0
_END_S = 20.0


@contextmanager
def fleet(folder: Path, seed: int) -> Generator[str]:
    """Starts a broker on a free port, and actors; yields the broker's address."""
    announced = folder / "broker.json"
    announced.unlink(missing_ok=True)
    with ExitStack() as stack:
        listening = ("--address", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0")
        stack.enter_context(_running("broker", *listening, "--announce", str(announced)))
        address = _wait_for_address(announced)
        for number in range(ACTORS):
            simulator = ("--env", ENV_ID, "--environments", str(ENVIRONMENTS))
            seeded = ("--seed", str(1000 * seed + number))
            stack.enter_context(_running("actor", "--broker", address, *simulator, *seeded))
        yield address


@contextmanager
def _running(*arguments: str) -> Generator[None]:
    command = [sys.executable, "-m", "headrace.deploy", *arguments]
    process = subprocess.Popen(command)  # noqa: S603 - our own command
    try:
        yield
    finally:
        process.terminate()
        process.wait(_END_S)


def _wait_for_address(announced: Path) -> str:
    deadline_s = time.monotonic() + _START_S
    while not announced.exists():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the broker did not start")
        threading.Event().wait(0.05)
    address: str = json.loads(announced.read_text())["address"]
    return address
