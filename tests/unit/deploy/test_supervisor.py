from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.machine import scaled
from support.running import wait_until

from headrace.deploy.restarts import Restarts
from headrace.deploy.supervisor import Child, ChildDiedError, Supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs")
    yield supervisor
    supervisor.stop_all(timeout_s=scaled(10.0))


BROKER = ["broker", "--address", "tcp://127.0.0.1:0", "--http", ""]


def test_a_child_that_ends_is_reported_with_its_last_lines(supervisor: Supervisor) -> None:
    child = supervisor.start("bad", ["broker", "--address", "nonsense"])
    child.process.wait(scaled(20))
    with pytest.raises(ChildDiedError, match=r"bad ended with status 3(.|\n)*nonsense"):
        supervisor.check()
    supervisor.check(may_end=child)


def test_a_child_with_restarts_is_started_again_while_others_run(tmp_path: Path) -> None:
    now_s = [0.0]
    supervisor = Supervisor(tmp_path / "logs", lambda: now_s[0])
    other = supervisor.start("other", BROKER)
    child = supervisor.start("again", BROKER, restarts=Restarts())
    try:
        first = child.process
        first.kill()
        first.wait(scaled(20))
        supervisor.check()
        assert child.process is first, "it waits before the restart"
        now_s[0] = 1.0
        supervisor.check()
        assert child.process is not first
        wait_until(lambda: child.log.read_text().count("listening") == 1, 20.0)
        assert other.process.poll() is None
    finally:
        supervisor.stop_all(timeout_s=scaled(10.0))
    assert child.process.returncode == 0


def test_a_child_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    now_s = [0.0]
    supervisor = Supervisor(tmp_path / "logs", lambda: now_s[0])
    child = supervisor.start("again", BROKER, restarts=Restarts())

    def kill_again_and_again() -> None:
        for _ in range(20):
            child.process.kill()
            child.process.wait(scaled(20))
            supervisor.check()
            now_s[0] += 30.0

    with pytest.raises(ChildDiedError, match=r"again ended with status -9"):
        kill_again_and_again()


def test_a_child_with_a_mistake_is_not_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "logs")
    child = supervisor.start("bad", ["broker", "--address", "nonsense"], restarts=Restarts())
    child.process.wait(scaled(20))
    with pytest.raises(ChildDiedError, match="bad ended with status 3"):
        supervisor.check()


class WatchedSupervisor(Supervisor):
    """Notes which children ran unasked, and which ran at all, when each was stopped."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        self.started: list[Child] = []
        self.unasked_at_stop: dict[str, list[str]] = {}
        self.running_at_stop: dict[str, list[str]] = {}

    def stop(self, child: Child, timeout_s: float) -> None:
        inputs = {other.name: other.process.stdin for other in self.started}
        unasked = [name for name, stdin in inputs.items() if stdin is not None and not stdin.closed]
        self.unasked_at_stop[child.name] = unasked
        running = [other.name for other in self.started if other.process.poll() is None]
        self.running_at_stop[child.name] = running
        super().stop(child, timeout_s)


def test_the_oldest_child_stops_once_the_others_have_stopped_together(tmp_path: Path) -> None:
    supervisor = WatchedSupervisor(tmp_path / "logs")
    supervisor.started = children = [
        supervisor.start(f"broker-{index}", BROKER) for index in range(3)
    ]
    try:
        wait_until(lambda: all("listening" in child.log.read_text() for child in children))
        supervisor.check()
    finally:
        supervisor.stop_all(timeout_s=scaled(10.0))
    assert [child.process.returncode for child in children] == [0, 0, 0]
    assert set(supervisor.running_at_stop) == {"broker-0", "broker-1", "broker-2"}
    assert supervisor.unasked_at_stop["broker-2"] == ["broker-0"]
    assert supervisor.running_at_stop["broker-0"] == ["broker-0"]


def test_a_child_that_does_not_stop_is_killed(supervisor: Supervisor) -> None:
    child = supervisor.start("broker", BROKER)
    wait_until(lambda: "listening" in child.log.read_text())
    psutil.Process(child.process.pid).suspend()
    supervisor.stop(child, timeout_s=0.2)
    assert child.process.returncode == -9


PARENT = """
import sys
from pathlib import Path
from headrace.deploy.restarts import Restarts
from headrace.deploy.supervisor import Supervisor
child = Supervisor(Path(sys.argv[1])).start("broker", sys.argv[2:])
print(child.process.pid, flush=True)
child.process.wait()
"""


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), *BROKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            wait_until(lambda: "listening" in (tmp_path / "broker.log").read_text())
            parent.kill()
            child.wait(scaled(10.0))  # raises if it outlives its parent
        finally:
            if child.is_running():
                child.kill()
    assert "stopped" in (tmp_path / "broker.log").read_text()
