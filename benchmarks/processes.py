"""Brokers and loads as separate processes, as in production."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import psutil
import zmq

from headrace.broker.config import BrokerConfig, RouterConfig
from headrace.broker.service import BrokerService

_SPAWN = multiprocessing.get_context("spawn")
_START_S = 60.0


@contextmanager
def running(target: Callable[..., None], *arguments: Any) -> Generator[BaseProcess]:
    """Runs `target` in a process, which is ended afterwards."""
    process = _SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


@dataclass(frozen=True)
class RunningBroker:
    """Where a broker listens, and its process."""

    address: str
    process: psutil.Process


@contextmanager
def broker_process(*, keys: str = "", journal: str = "", **router: Any) -> Generator[RunningBroker]:
    """Runs a broker."""
    ours, theirs = _SPAWN.Pipe()
    with running(_serve, theirs, keys, journal, router) as process:
        if not ours.poll(_START_S):
            raise TimeoutError("the broker did not start")
        yield RunningBroker(ours.recv(), psutil.Process(process.pid))


def processor_s(process: psutil.Process) -> float:
    """Returns the processor time that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def pipe() -> tuple[Connection, Connection]:
    """Returns both ends of a pipe; pass one to a process."""
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
    """Returns a port that is free now, for servers that cannot choose their own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
