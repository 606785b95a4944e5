"""Throughput of a broker that accepts, credits and validates, against libzmq's own proxy."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

import psutil
import zmq

from benchmarks.cartpole import RUN, ScriptedWeights, make_batch, make_manifest
from benchmarks.load import Payloads, run_load
from benchmarks.pairs import Row, alone, compare
from benchmarks.processes import broker_process, pipe, processor_s, running
from headrace.broker.access.key_folder import KeyFolder, ServerKey
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.invitation import Invitation
from headrace.protocol.trajectory import pack_batch
from headrace.protocol.zeromq.client_socket import encrypt

_CASES = (("4 KiB", 3, 20), ("64 KiB", 71, 20), ("1 MiB", 58, 400))
"""A size, and the episodes and steps whose columns take about that much."""
_BYTES = 128 * 1024 * 1024
_SMALL_BYTES = 16 * 1024 * 1024
_CLIENTS = 4


@dataclass(frozen=True)
class BrokerPath:
    """A link to a broker to which clients push, and the broker's process."""

    link: BrokerLink
    process: psutil.Process


def run() -> list[Row]:
    """Measures each size with and without validation."""
    rows: list[Row] = []
    for name, episodes, steps in _CASES:
        payload = pack_batch(make_batch(episodes, steps))
        for validates in (True, False):
            what = "validated" if validates else "not validated"
            rows += _compare(f"{name}, {what}", payload, episodes * steps, validates)
    return rows


def _compare(case: str, payload: bytes, env_steps: int, validates: bool) -> list[Row]:
    total = _BYTES if len(payload) > 8192 else _SMALL_BYTES
    count = max(8, total // len(payload))
    processor_us: list[float] = []
    with (
        through_broker(payload, env_steps, validates=validates) as path,
        through_proxy(payload) as proxied,
    ):

        def ours() -> float:
            begun_s = processor_s(path.process)
            rate = take_megabytes_per_s(path.link, payload, env_steps, count)
            processor_us.append((processor_s(path.process) - begun_s) / count * 1e6)
            return rate

        row = compare(case, "MB/s", ours, lambda: pull_megabytes_per_s(*proxied, payload, count))
    return [row, alone(f"{case}, the broker's processor time", "µs", median(processor_us))]


def pull_megabytes_per_s(
    to_child: Connection, source: zmq.Socket[bytes], payload: bytes, count: int
) -> float:
    """Requests `count` messages, and returns their rate in MB/s."""
    to_child.send(count)
    started_s = time.perf_counter()
    for _ in range(count):
        source.recv_multipart(copy=False)
    return count * len(payload) / (time.perf_counter() - started_s) / 1e6


def take_megabytes_per_s(link: BrokerLink, payload: bytes, env_steps: int, count: int) -> float:
    """Takes `count` batches, and returns their rate in MB/s."""
    started_s = time.perf_counter()
    steps = 0
    while steps < count * env_steps:
        batches = link.take(32 * env_steps, 60.0)
        link.request(32 * env_steps)
        link.confirm(batches[-1])
        steps += len(batches) * env_steps
    return steps / env_steps * len(payload) / (time.perf_counter() - started_s) / 1e6


@contextmanager
def through_broker(
    payload: bytes,
    env_steps: int,
    *,
    validates: bool = True,
    journal: str = "",
    keys: KeyFolder | None = None,
) -> Generator[BrokerPath]:
    """Yields the path through a broker to which clients push as fast as credit allows."""
    stop, stopped = pipe()
    path = str(keys.path) if keys is not None else ""
    with broker_process(validates=validates, journal=journal, keys=path) as broker:
        address = broker.address
        as_actor = keys.invite("actor", "load", address) if keys is not None else None
        as_learner = keys.invite("learner", "benchmark", address) if keys is not None else None
        link = BrokerLink(
            [BrokerTarget(address, as_learner)],
            LearnerIdentity("benchmark", 0, RUN, "here"),
            zmq.Context.instance(),
        )
        flow = OffPolicyFlow(sample_env_steps=32 * env_steps)
        link.offer(ScriptedWeights(make_manifest(flow, 1024)).version(1))
        load = Payloads((payload, env_steps))
        with running(run_load, address, [float("inf")] * _CLIENTS, load, stopped, as_actor):
            try:
                yield BrokerPath(link, broker.process)
            finally:
                stop.send(None)
                link.close()


@contextmanager
def through_proxy(
    payload: bytes, key: ServerKey | None = None, peer: Invitation | None = None
) -> Generator[tuple[Connection, zmq.Socket[bytes]]]:
    """Yields the two ends of a path through libzmq's own proxy; with keys, encrypted.

    The pipe requests messages from the process that pushes them, and the socket receives them.
    """
    ours, theirs = pipe()
    to_child, to_parent = pipe()
    source: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    if peer is not None:
        encrypt(source, peer)
    with running(_proxy, theirs, key):
        front, back = ours.recv()
        source.connect(back)
        with running(push_when_asked, front, payload, to_parent, peer):
            try:
                yield to_child, source
            finally:
                source.close(linger=0)


def serve_encrypted(socket: zmq.Socket[bytes], key: ServerKey) -> None:
    """Encrypts a socket's connections, without an authenticator."""
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_PUBLICKEY, key.public_key.encode())
    socket.set(zmq.CURVE_SECRETKEY, key.secret_key.encode())


def _proxy(announce: Connection, key: ServerKey | None) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    front, back = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    if key is not None:
        serve_encrypted(front, key)
        serve_encrypted(back, key)
    ports = [made.bind_to_random_port("tcp://127.0.0.1") for made in (front, back)]
    announce.send([f"tcp://127.0.0.1:{port}" for port in ports])
    zmq.proxy(front, back)


def push_when_asked(
    address: str, payload: bytes, to_parent: Connection, invitation: Invitation | None = None
) -> None:
    """Pushes as many messages as each request on the pipe asks for."""
    sink: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
    if invitation is not None:
        encrypt(sink, invitation)
    sink.connect(address)
    header = b"h" * 150
    while True:
        for _ in range(to_parent.recv()):
            sink.send_multipart([header, payload], copy=False)
