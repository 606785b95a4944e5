"""Fixtures that own something: each ends only what it started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.machine import scaled
from support.running import BrokerThread
from xdist.scheduler import LoadScopeScheduling

from headrace.deploy.process import raise_open_files_limit

raise_open_files_limit()  # some tests have hundreds of clients

_HEAVY = ("learner",)
"""Folders whose tests share a Ray: one process for each."""


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc] # it has no types
    """Each file's tests, and those of a heavy folder, in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        folder = Path(file).parts[1]
        return folder if folder in _HEAVY else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    """Says which tests share a process, where several run them."""
    return FolderScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives each test the time that it takes on this machine."""
    for item in items:
        marker = item.get_closest_marker("timeout")
        limit_s = float(marker.args[0] if marker else config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(scaled(limit_s)), append=False)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray, started once in a process; imported here, since most tests do not need it."""
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2)
    yield
    ray.shutdown()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4096)
    yield context
    context.destroy(linger=0)


@pytest.fixture
def start_broker() -> Iterator[Callable[..., BrokerThread]]:
    """Starts brokers in threads of this process, on ports that the system chooses."""
    with ExitStack() as stack:

        def start(address: str = "tcp://127.0.0.1:0", **settings: Any) -> BrokerThread:
            return stack.enter_context(BrokerThread(address, **settings))

        yield start


@pytest.fixture
def broker(start_broker: Callable[..., BrokerThread]) -> BrokerThread:
    return start_broker()
