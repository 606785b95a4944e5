"""The rig's lateness while a learner trains, while its broker is down, and after that.

python -m examples.real_time.outage                    # as root also with --priority 50
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from examples.real_time.lateness import read_ticks, summary

RUN_FILE = Path(__file__).parent / "run.toml"
_TRAINING_S, _DEAD_S, _AFTER_S = 90.0, 10.0, 60.0
_START_S = 30.0


class Servers:
    """A broker and a learner as processes, so that the rig's process only runs its clock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._announced = folder / "broker.json"
        self._broker = self._start_broker("tcp://127.0.0.1:0", "127.0.0.1:0")
        self.address, self.status_url = self._wait_for_broker()
        learner = ["learner", str(RUN_FILE), "--broker", self.address, "--runs", str(folder)]
        self._learner = self._start(learner)

    def kill_broker(self) -> None:
        """Kills the broker with SIGKILL."""
        self._broker.kill()
        self._broker.wait()

    def restart_broker(self) -> None:
        """Starts another broker at the first one's address."""
        self._broker = self._start_broker(self.address, self.status_url.removeprefix("http://"))
        self._wait_for_broker()

    def end(self) -> None:
        """Ends both processes."""
        for process in (self._learner, self._broker):
            process.terminate()
        for process in (self._learner, self._broker):
            process.wait()

    def _start_broker(self, address: str, http: str) -> subprocess.Popen[bytes]:
        self._announced.unlink(missing_ok=True)
        listening = ["--address", address, "--http", http, "--announce", str(self._announced)]
        return self._start(["broker", *listening])

    def _wait_for_broker(self) -> tuple[str, str]:
        deadline_s = time.monotonic() + _START_S
        while not self._announced.exists():
            if time.monotonic() > deadline_s:
                raise TimeoutError("the broker did not start")
            threading.Event().wait(0.05)
        announced = json.loads(self._announced.read_text())
        return announced["address"], announced["http"]

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / f"{arguments[0]}.log").open("ab") as log:
            # On shared cores these yield to the rig, which cannot wait.
            command = ["nice", "-n", "10", sys.executable, "-m", "headrace.deploy", *arguments]
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603


def main() -> None:
    """Kills and restarts the broker of a running rig, and prints its lateness by period."""
    parser = argparse.ArgumentParser(description="A rig whose broker is killed.")
    parser.add_argument("--priority", help="the rig's real-time priority, 1 to 99 (Linux, root)")
    priority = parser.parse_args().priority
    with tempfile.TemporaryDirectory() as folder:
        ticks = Path(folder) / "ticks"
        servers = Servers(Path(folder))
        try:
            options = ["--broker", servers.address, "--status", servers.status_url]
            options += ["--ticks", str(ticks), *(["--priority", priority] if priority else [])]
            command = [sys.executable, "-m", "examples.real_time.rig", *options]
            with subprocess.Popen(command) as rig:  # noqa: S603 - our own
                try:
                    began_s = disturb(servers)
                finally:
                    rig.terminate()
        finally:
            servers.end()
        _show(ticks, began_s)


def disturb(servers: Servers) -> dict[str, float]:
    """Kills the broker after a while, then restarts it; returns when each period began."""
    pause = threading.Event()
    began_s = {"training": time.monotonic()}
    pause.wait(_TRAINING_S)
    began_s["broker dead"] = time.monotonic()
    servers.kill_broker()
    pause.wait(_DEAD_S)
    began_s["broker back"] = time.monotonic()
    servers.restart_broker()
    pause.wait(_AFTER_S)
    return began_s


def _show(path: Path, began_s: dict[str, float]) -> None:
    ticks = read_ticks(path)
    ends_s = [*list(began_s.values())[1:], float("inf")]
    for (name, start_s), end_s in zip(began_s.items(), ends_s, strict=True):
        print(f"{name}: {summary([tick for tick in ticks if start_s <= tick.due_s < end_s])}")


if __name__ == "__main__":
    main()
