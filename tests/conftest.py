"""Fixtures that own something: each ends only what it started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.running import BrokerThread

from headrace.deploy.process import raise_open_files_limit

raise_open_files_limit()  # some tests have hundreds of clients

_HEAVY = ("learner", "process")
"""Folders whose tests start Ray and processes: one of them at a time is enough for two cores."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests share a process, where several run them."""
    here = Path(__file__).parent
    for item in items:
        is_heavy = item.path.relative_to(here).parts[0] in _HEAVY
        group = "heavy" if is_heavy else str(item.path.relative_to(here))
        item.add_marker(pytest.mark.xdist_group(group))


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
