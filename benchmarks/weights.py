"""The time from a learner's publish until all subscribers apply it, against bare PUB and SUB.

Each subscriber has a SUB socket of its own, so that the broker really sends n copies. Combinations
of more than 2 GB per publish are left out.
"""

from __future__ import annotations

import random
import resource
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import zmq

from benchmarks.cartpole import RUN, ScriptedWeights, make_manifest
from benchmarks.pairs import Row, alone, compare
from benchmarks.processes import broker_process, pipe, running
from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.session import ActorSession
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic
from headrace.protocol.zeromq.frames import receive, send

_SUBSCRIBERS = (1, 16, 256, 1000)
_MEGABYTES = (0.3, 5.0, 50.0)
_MOST_MEGABYTES = 2000.0
_PAIRS = 5
_DEADLINE_S = 120.0
_WEIGHTS_HWM = 2
"""The broker's."""

Socket = zmq.Socket[bytes]
Trip = Callable[[], float]


def run() -> list[Row]:
    """Measures the time of each fan-out and size, and the bytes per second that it delivers."""
    rows: list[Row] = []
    for count in _SUBSCRIBERS:
        for megabytes in _MEGABYTES:
            if count * megabytes <= _MOST_MEGABYTES:
                rows += _compare(count, megabytes)
    return rows


def _compare(count: int, megabytes: float) -> list[Row]:
    case = f"{count} subscribers, {megabytes:g} MB"
    with _through_broker(count, megabytes) as ours, _bare(count, megabytes) as theirs:
        row = compare(case, "s", ours, theirs, _PAIRS)
    return [row, alone(f"{case}: delivered", "MB/s", count * megabytes / row.ours)]


def _wait(to_parent: Connection) -> None:
    if not to_parent.poll(_DEADLINE_S):
        raise TimeoutError("not all subscribers got the weights")
    to_parent.recv()


@contextmanager
def _through_broker(count: int, megabytes: float) -> Generator[Trip]:
    ours, theirs = pipe()
    flow = OffPolicyFlow(sample_env_steps=1)
    weights = ScriptedWeights(make_manifest(flow, int(megabytes * 1e6)))
    with broker_process() as broker, running(_subscribe, broker.address, count, theirs):
        identity = LearnerIdentity("benchmark", 0, RUN, "here")
        link = BrokerLink([BrokerTarget(broker.address)], identity, zmq.Context.instance())
        number = 0

        def trip() -> float:
            nonlocal number
            number += 1
            offered = weights.version(number)
            started_s = time.perf_counter()
            link.offer(offered)
            _wait(ours)
            return time.perf_counter() - started_s

        try:
            trip()  # all subscribers join
            yield trip
        finally:
            link.close()


@contextmanager
def _bare(count: int, megabytes: float) -> Generator[Trip]:
    ours, theirs = pipe()
    publisher: Socket = zmq.Context.instance().socket(zmq.XPUB)
    publisher.set(zmq.SNDHWM, _WEIGHTS_HWM)
    publisher.set(zmq.XPUB_VERBOSE, 1)
    publisher.set(zmq.RCVTIMEO, int(_DEADLINE_S * 1000))
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    frame = bytes(int(megabytes * 1e6))
    with running(_receive_bare, port, count, theirs):
        for _ in range(count):
            publisher.recv()

        def trip() -> float:
            started_s = time.perf_counter()
            publisher.send_multipart([b"w", frame], copy=False)
            _wait(ours)
            return time.perf_counter() - started_s

        try:
            yield trip
        finally:
            publisher.close(linger=0)


def _context(sockets: int) -> zmq.Context[Socket]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each socket takes several
    context: zmq.Context[Socket] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, sockets + 64)
    return context


def _connect_all(context: zmq.Context[Socket], endpoint: str, count: int) -> list[Socket]:
    made: list[Socket] = []
    for _ in range(count):
        socket = context.socket(zmq.SUB)
        socket.set(zmq.RCVHWM, _WEIGHTS_HWM)
        socket.connect(endpoint)
        made.append(socket)
    return made


def _receive_bare(port: int, count: int, to_parent: Connection) -> None:
    poller = zmq.Poller()
    for socket in _connect_all(_context(count), f"tcp://127.0.0.1:{port}", count):
        socket.subscribe(b"w")
        poller.register(socket, zmq.POLLIN)
    while True:
        missing = count
        while missing:
            for socket, _ in poller.poll():
                missing -= receive(socket) is not None
        to_parent.send(None)


def _subscribe(address: str, count: int, to_parent: Connection) -> None:
    """Runs subscribers that decode the weights; reports when all have applied a version."""
    endpoints, context = BrokerAddress.parse(address), _context(count)
    push, control = context.socket(zmq.PUSH), context.socket(zmq.SUB)
    push.connect(endpoints.ingest)
    control.connect(endpoints.control)
    control.subscribe(BEACON)
    sessions: dict[Socket, ActorSession] = {}
    poller = zmq.Poller()
    poller.register(control, zmq.POLLIN)
    for index, socket in enumerate(_connect_all(context, endpoints.weights, count)):
        actor = f"subscriber-{index}"
        rng = random.Random(index)
        sessions[socket] = ActorSession(actor, secrets.randbits(52), "here", ClientConfig(), rng)
        control.subscribe(delivery_topic(actor))
        socket.subscribe(snapshot_topic(actor))
        socket.subscribe(weights_topic(RUN))
        poller.register(socket, zmq.POLLIN)
    by_topic = {delivery_topic(session.actor): session for session in sessions.values()}
    number = 1
    while True:
        missing = {socket for socket, s in sessions.items() if _number_of(s) < number}
        while missing:
            for socket, _ in poller.poll(100):
                if socket is control:
                    _take_control(control, by_topic)
                elif _take_weights(socket, sessions[socket]) >= number:
                    missing.discard(socket)
            for session in sessions.values():
                if (presence := session.next_presence(time.monotonic())) is not None:
                    send(push, presence)
        to_parent.send(None)
        number += 1


def _number_of(session: ActorSession) -> int:
    return session.newest_version.number if session.newest_version is not None else 0


def _take_control(control: Socket, by_topic: dict[bytes, ActorSession]) -> None:
    while (frames := receive(control)) is not None:
        topic, now_s = bytes(frames[0]), time.monotonic()
        receivers = by_topic.values() if topic == BEACON else (by_topic[topic],)
        for session in receivers:
            session.on_control(frames[1:], now_s)


def _take_weights(socket: Socket, session: ActorSession) -> int:
    while (frames := receive(socket)) is not None:
        session.on_weights(frames[1:])
    session.policy_update()
    return _number_of(session)
