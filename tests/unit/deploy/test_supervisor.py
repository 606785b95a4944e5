from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.running import wait_until

from headrace.deploy.supervisor import ChildDiedError, Supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs")
    yield supervisor
    supervisor.stop_all(timeout_s=10.0)


BROKER = ["broker", "--address", "tcp://127.0.0.1:0", "--http", ""]


def test_a_child_that_ends_is_reported_with_its_last_lines(supervisor: Supervisor) -> None:
    child = supervisor.start("bad", ["broker", "--address", "nonsense"])
    child.process.wait(20)
    with pytest.raises(ChildDiedError, match=r"bad ended with status 3(.|\n)*nonsense"):
        supervisor.check()
    supervisor.check(may_end=child)


def test_children_are_stopped_in_the_opposite_order(supervisor: Supervisor) -> None:
    children = [supervisor.start(f"broker-{index}", BROKER) for index in range(2)]
    wait_until(lambda: all("listening" in child.log.read_text() for child in children))
    supervisor.check()
    supervisor.stop_all(timeout_s=10.0)
    assert [child.process.returncode for child in children] == [0, 0]


def test_a_child_that_does_not_stop_is_killed(supervisor: Supervisor) -> None:
    child = supervisor.start("broker", BROKER)
    wait_until(lambda: "listening" in child.log.read_text())
    psutil.Process(child.process.pid).suspend()
    supervisor.stop(child, timeout_s=0.2)
    assert child.process.returncode == -9


def test_a_child_ends_when_its_parent_is_gone(supervisor: Supervisor) -> None:
    child = supervisor.start("broker", BROKER)
    wait_until(lambda: "listening" in child.log.read_text())
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(10) == 0
    child.process.stdin = None
