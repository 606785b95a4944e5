"""Brokers and loads as processes of their own, as they are in use."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import zmq

from headrace.broker.config import BrokerConfig, RouterConfig
from headrace.broker.service import BrokerService

_SPAWN = multiprocessing.get_context("spawn")
_START_S = 60.0


@contextmanager
def running(target: Callable[..., None], *arguments: Any) -> Generator[BaseProcess]:
    """A process that runs `target`, and is ended afterwards."""
    process = _SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


@contextmanager
def broker_process(*, keys: str = "", journal: str = "", **router: Any) -> Generator[str]:
    """A broker; gives its address."""
    ours, theirs = _SPAWN.Pipe()
    with running(_serve, theirs, keys, journal, router):
        if not ours.poll(_START_S):
            raise TimeoutError("the broker did not start")
        yield ours.recv()


def pipe() -> tuple[Connection, Connection]:
    """Both ends of a pipe, of which one goes to a process."""
    ours, theirs = _SPAWN.Pipe()
    return ours, theirs


def _serve(announce: Connection, keys: str, journal: str, router: dict[str, Any]) -> None:
    config = BrokerConfig(
        address="tcp://127.0.0.1:0",
        http_address="",
        drain_s=0.0,
        keys=keys,
        journal=journal,
        router=RouterConfig(**router),
    )
    service = BrokerService(config, zmq.Context())
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    announce.send(str(service.address))
    service.run()


def free_port() -> int:
    """Returns a port that is free now, for servers that cannot choose one themselves."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
