"""Thousands of peers connect and stay silent; a busy actor must not notice."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import zmq
from support.raw_zmtp import RawPeer

from chaos.batches import BatchId, make_marked_batch
from chaos.report import Report
from chaos.stage import Stage
from chaos.throughput import percentile
from headrace.actors.connection.client import Client
from headrace.deploy.process import raise_open_files_limit
from headrace.protocol.endpoints import BrokerAddress

_MOST_BYTES_EACH = 40 * 1024
_SLOWER = 2.0


@dataclass(frozen=True)
class Plan:
    """The number of connections, and of timed batches."""

    connections: int
    batches: int = 2000
    is_timed: bool = True


SHORT = Plan(connections=1_000, batches=500, is_timed=False)
LONG = Plan(connections=10_000)


def run(plan: Plan, folder: Path, seed: int) -> Report:
    """Times a busy actor without idle connections, and among them."""
    raise_open_files_limit()
    violations: list[str] = []
    with Stage(folder, actors=0, actors_per_process=1, learners=1) as stage:
        stage.start_all(actor={}, learner={})
        assert stage.broker.process is not None
        broker = psutil.Process(stage.broker.process.pid)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        client = Client(stage.address, actor="actor-0", context=context)
        alone_s = _waits_s(client, plan.batches, 0)
        before = broker.memory_info().rss
        idle = _connect(stage.address, plan.connections)
        grown = (broker.memory_info().rss - before) / plan.connections
        among_s = _waits_s(client, plan.batches, plan.batches)
        for peer in idle:
            peer.close()
        client.close()
        context.term()
        stage.finish()
    alone, among = percentile(alone_s, 0.99), percentile(among_s, 0.99)
    if plan.is_timed and among > _SLOWER * alone:
        violations.append(f"the p99 of a batch is {among / alone:.1f} times as long")
    if grown > _MOST_BYTES_EACH:
        violations.append(f"a connection takes {grown / 1024:.0f} KiB")
    figures = {
        "connections": plan.connections,
        "KiB each": round(grown / 1024, 1),
        "accepted p99 ms alone": round(alone * 1000, 2),
        "among them": round(among * 1000, 2),
    }
    return Report("idle_connections", seed, None, figures, violations)


def _connect(address: str, count: int) -> list[RawPeer]:
    control = BrokerAddress.parse(address).control
    peers: list[RawPeer] = []
    for _ in range(count):
        peers.append(RawPeer(control))
        peers[-1].greet("SUB")
    return peers


def _waits_s(client: Client, batches: int, already: int) -> list[float]:
    """Returns the time of each batch from `push` until the broker accepted it."""
    pause = threading.Event()
    waits_s: list[float] = []
    for number in range(already + 1, already + batches + 1):
        permit = client.begin(30.0)
        assert permit is not None, "no credit for half a minute"
        batch = make_marked_batch(BatchId(0, 0, number), 20, permit.update.policy.manifest)
        begun_s = time.perf_counter()
        client.push(batch, permit.update, 20)
        while client.unaccepted:
            pause.wait(0.0001)
        waits_s.append(time.perf_counter() - begun_s)
    return waits_s
