"""The same 64 KiB through headrace's broker, Redis and a gRPC stream: one producer, one consumer.

Needs `pip install redis grpcio` and a redis-server; a missing one is skipped with a message.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.broker import through_broker
from benchmarks.cartpole import make_batch
from benchmarks.pairs import Row, compare
from benchmarks.processes import free_port, pipe, running
from headrace.protocol.trajectory import pack_batch

_EPISODES, _STEPS = 71, 20
"""Their columns take 64 KiB."""
_MESSAGES = 2048
_PIPELINED = 32
_KEY = "pipe"
_DEADLINE_S = 60.0

Rate = Callable[[], float]


def run() -> list[Row]:
    """Measures each installed pipe against ours, which also credits and acknowledges."""
    rows: list[Row] = []
    payload = pack_batch(make_batch(_EPISODES, _STEPS))
    peers: dict[str, Callable[[bytes], AbstractContextManager[Rate]]] = {
        "Redis list, pipelined": _through_redis,
        "gRPC client stream": _through_grpc,
    }
    for name, peer in peers.items():
        missing = _missing(name)
        if missing:
            print(f"pipes: {name} skipped: install {missing}")
            continue
        for validates in (True, False):
            how = "validated" if validates else "not validated"
            with _ours(payload, validates=validates) as ours, peer(payload) as theirs:
                rows.append(compare(f"64 KiB {how}, against {name}", "MB/s", ours, theirs))
    return rows


def _missing(name: str) -> str:
    if name.startswith("gRPC"):
        return "" if importlib.util.find_spec("grpc") else "the package grpcio"
    if not importlib.util.find_spec("redis"):
        return "the package redis"
    return "" if shutil.which("redis-server") else "redis-server"


def _rate(payload: bytes, take: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    for _ in range(_MESSAGES):
        take()
    return _MESSAGES * len(payload) / (time.perf_counter() - started_s) / 1e6


@contextmanager
def _ours(payload: bytes, *, validates: bool) -> Generator[Rate]:
    steps = _EPISODES * _STEPS
    with through_broker(payload, steps, validates=validates) as path:
        link = path.link

        def rate() -> float:
            started_s = time.perf_counter()
            taken = 0
            while taken < _MESSAGES:
                batches = link.take(_PIPELINED * steps, _DEADLINE_S)
                link.request(_PIPELINED * steps)
                link.confirm(batches[-1])
                taken += len(batches)
            return taken * len(payload) / (time.perf_counter() - started_s) / 1e6

        yield rate


# ---------------------------------------------------------------- Redis


@contextmanager
def _through_redis(payload: bytes) -> Generator[Rate]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(  # noqa: S603
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],  # noqa: S607
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        to_child, to_parent = pipe()
        try:
            client = _redis(port)
            with running(_push_to_redis, port, payload, to_parent):

                def rate() -> float:
                    to_child.send(_MESSAGES)
                    return _rate(payload, lambda: _pop(client))

                yield rate
        finally:
            server.terminate()
            server.wait()


def _pop(client: Any) -> None:
    if client.blpop(_KEY, _DEADLINE_S) is None:
        raise TimeoutError("Redis gave no message")


def _redis(port: int) -> Any:
    redis = importlib.import_module("redis")
    client = redis.Redis(port=port)
    pause, deadline_s = threading.Event(), time.monotonic() + _DEADLINE_S
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline_s:
                raise
            pause.wait(0.05)
        else:
            return client


def _push_to_redis(port: int, payload: bytes, to_parent: Connection) -> None:
    client = _redis(port)
    while True:
        for _ in range(to_parent.recv() // _PIPELINED):
            pipeline = client.pipeline(transaction=False)
            for _ in range(_PIPELINED):
                pipeline.rpush(_KEY, payload)
            pipeline.execute()


# ---------------------------------------------------------------- gRPC


@contextmanager
def _through_grpc(payload: bytes) -> Generator[Rate]:
    grpc = importlib.import_module("grpc")
    arrived: list[float] = []
    ended = threading.Event()

    def take(messages: Iterator[bytes], _: Any) -> bytes:
        arrived.append(_rate(payload, lambda: next(messages)))
        ended.set()
        return b""

    handlers = grpc.method_handlers_generic_handler(
        "headrace.Pipe", {"Push": grpc.stream_unary_rpc_method_handler(take)}
    )
    server = grpc.server(ThreadPoolExecutor(1), handlers=(handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    to_child, to_parent = pipe()
    try:
        with running(_push_to_grpc, port, payload, to_parent):

            def rate() -> float:
                ended.clear()
                to_child.send(_MESSAGES)
                if not ended.wait(_DEADLINE_S):
                    raise TimeoutError("the stream did not end")
                return arrived[-1]

            yield rate
    finally:
        server.stop(None).wait()


def _push_to_grpc(port: int, payload: bytes, to_parent: Connection) -> None:
    grpc = importlib.import_module("grpc")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        push = channel.stream_unary("/headrace.Pipe/Push")
        while True:
            push(payload for _ in range(to_parent.recv()))
