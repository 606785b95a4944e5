"""Remote actions: a policy server against a bare echo of the same bytes, plus the inference."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import gymnasium as gym
import msgspec
import numpy as np
import zmq

from benchmarks.acting import export_policy
from benchmarks.cartpole import RUN
from benchmarks.pairs import Row, alone, compare
from benchmarks.processes import broker_process, pipe, running
from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.connection.client import Client
from headrace.actors.inference.policy_server import PolicyServer
from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.learner.runner.module_weights import ModuleWeights
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.manifest import (
    DEFAULT_MODULE,
    Manifest,
    Policy,
    encode_policy,
    policy_digest,
)
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.messages.inference import Act
from headrace.protocol.payload import encode_payload
from headrace.protocol.trajectory import DEFAULT_AGENT, OBSERVATIONS

_CONNECTIONS = (1, 16, 64)
_TURNS = 300
_SPACE = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)


def run() -> list[Row]:
    """Measures the median time from a request to its action, by number of connections."""
    rows: list[Row] = []
    with _policy_server() as served, _echo() as echoed:
        for connections in _CONNECTIONS:
            rows += _compare(connections, served, echoed)
    return rows


def _compare(connections: int, served: Connection, echoed: Connection) -> list[Row]:
    act_us = _inference_us(connections)
    return [
        compare(
            f"{connections} connections",
            "µs",
            lambda: _latency_us(served, connections),
            lambda: _latency_us(echoed, connections) + act_us,
        ),
        alone(f"{connections} connections: the inference", "µs", act_us),
    ]


def _inference_us(count: int) -> float:
    module, exported = export_policy(_SPACE)
    policy = OnnxPolicy(exported.graph, exported.manifest.graph, np.random.default_rng(0))
    policy.set_weights(ModuleWeights(module).arrays(exported.parameters))
    observations = np.zeros((count, 4), np.float32)
    times: list[float] = []
    for _ in range(500):
        started_s = time.perf_counter()
        policy.act({OBSERVATIONS: observations})
        times.append(time.perf_counter() - started_s)
    return statistics.median(times) * 1e6


def _latency_us(load: Connection, connections: int) -> float:
    load.send(connections)
    latency_us: float = load.recv()
    return latency_us


@contextmanager
def _policy_server() -> Generator[Connection]:
    ours, theirs = pipe()
    with (
        broker_process() as broker,
        _learner(broker.address),
        running(_serve, broker.address, theirs),
        _load(ours.recv()) as load,
    ):
        yield load


@contextmanager
def _echo() -> Generator[Connection]:
    ours, theirs = pipe()
    with running(_echo_all, theirs), _load(ours.recv()) as load:
        yield load


@contextmanager
def _load(endpoint: str) -> Generator[Connection]:
    ours, theirs = pipe()
    with running(_ask, endpoint, theirs):
        yield ours


@contextmanager
def _learner(address: str) -> Generator[None]:
    """Publishes once, and takes every batch."""
    module, exported = export_policy(_SPACE)
    weights = {DEFAULT_MODULE: ModuleWeights(module).arrays(exported.parameters)}
    flow = OffPolicyFlow(sample_env_steps=20_000)
    manifest = Manifest(run=RUN, flow=flow, modules={DEFAULT_MODULE: exported.manifest})
    frame = encode_policy(Policy(manifest, {DEFAULT_MODULE: exported.graph}))
    link = BrokerLink(
        [BrokerTarget(address)], LearnerIdentity(RUN, 0, RUN, "here"), zmq.Context.instance()
    )
    digest = policy_digest(frame)
    link.offer(OfferedWeights(1, "0" * 32, digest, frame, encode_payload(weights)))
    stopping = threading.Event()

    def take() -> None:
        while not stopping.is_set():
            batches = link.take(1000, 0.2)
            if batches:
                link.confirm(batches[-1])

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        link.close()


def _serve(address: str, announce: Connection) -> None:
    client = Client(address, actor="server")
    server = PolicyServer(EpisodeAgent(client, seed=0), "tcp://127.0.0.1:0")
    announce.send(server.endpoint)
    server.run()


def _echo_all(announce: Connection) -> None:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    announce.send(f"tcp://127.0.0.1:{port}")
    while True:
        socket.send_multipart(socket.recv_multipart())


class _Connection:
    """One simulator: an episode with prepared requests."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, name: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(endpoint)
        turn = {DEFAULT_AGENT: {"observation": np.zeros(4, np.float32), "reward": 1.0}}
        first = {DEFAULT_AGENT: {"observation": np.zeros(4, np.float32)}}
        headers = [encode_header(Act(episode=name, turn=turn)) for turn in range(_TURNS)]
        self._requests = [
            (header, encode_payload(turn if number else first))
            for number, header in enumerate(headers)
        ]
        self._next = 0
        self._sent_at_s = 0.0

    def send(self) -> bool:
        """Sends the next request; returns whether there was one."""
        if self._next == _TURNS:
            return False
        self._sent_at_s = time.perf_counter()
        self.socket.send_multipart(self._requests[self._next])
        self._next += 1
        return True

    def receive(self) -> float:
        """Receives an answer; returns its latency in seconds."""
        header = self.socket.recv_multipart()[0]
        waited_s = time.perf_counter() - self._sent_at_s
        kind = msgspec.msgpack.decode(header)["kind"]
        if kind not in ("actions", "act"):
            raise RuntimeError(f"no action: {header!r}")
        return waited_s


def _ask(endpoint: str, to_parent: Connection) -> None:
    """Runs connections that each send the next request at once; reports their median in µs."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    round_number = 0
    while True:
        count = to_parent.recv()
        round_number += 1
        connections: dict[zmq.Socket[bytes], _Connection] = {}
        for index in range(count):
            made = _Connection(context, endpoint, f"{count}-{round_number}-{index}")
            connections[made.socket] = made
        poller = zmq.Poller()
        for made in connections.values():
            poller.register(made.socket, zmq.POLLIN)
            made.send()
        waits_s: list[float] = []
        open_count = count
        while open_count:
            for socket, _ in poller.poll():
                made = connections[socket]
                waits_s.append(made.receive())
                open_count -= not made.send()
        for made in connections.values():
            made.socket.close(linger=0)
        to_parent.send(statistics.median(waits_s[len(waits_s) // 10 :]) * 1e6)
