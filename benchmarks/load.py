"""Scripted clients: real actor sessions with simulators that only take time.

The clients of a load share one set of sockets, which the broker cannot see; they are few enough for
what a broker keeps for one subscriber. They begin batches when credit allows, with the newest
weights, close them as the manifest says, and stamp the version that they began with.
"""

from __future__ import annotations

import heapq
import math
import random
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

import zmq

from benchmarks.cartpole import RUN, make_batch
from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.session import ActorSession, PushedBatch
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Credit, Totals
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic
from headrace.protocol.trajectory import pack_batch
from headrace.protocol.zeromq.client_socket import encrypt
from headrace.protocol.zeromq.frames import receive, send

_CONFIG = ClientConfig()
_CLIENTS_PER_SOCKET = 500
"""Half of what ZeroMQ keeps for one subscriber by default."""
_SERVE_EVERY_S = 0.25


@dataclass(frozen=True)
class _Begun:
    at_s: float
    version: PolicyVersion
    credit: Credit


@dataclass
class _Actor:
    """One client, and its open batch, which closes at `due_s` with `steps` steps."""

    session: ActorSession
    steps_per_s: float
    begun: _Begun | None = None
    due_s: float = math.inf
    steps: int = 0
    has_discarded: bool = False


class Payloads:
    """Payload frames by env steps: one chunk of that length, or always one fixed frame."""

    def __init__(self, fixed: tuple[bytes, int] | None = None) -> None:
        self.fixed = fixed
        self._by_steps: dict[int, bytes] = {}

    def of(self, env_steps: int) -> tuple[bytes, int]:
        """Returns a payload and its number of env steps."""
        if self.fixed is not None:
            return self.fixed
        if env_steps not in self._by_steps:
            self._by_steps[env_steps] = pack_batch(make_batch(1, env_steps, are_over=False))
        return self._by_steps[env_steps], env_steps


class Load:
    """Some clients of a fleet.

    Attributes:
        sources: the sockets at which messages arrive.
    """

    def __init__(
        self,
        address: str,
        speeds: Mapping[int, float],
        payloads: Payloads,
        invitation: Invitation | None = None,
    ) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        endpoints = BrokerAddress.parse(address)
        self._push = context.socket(zmq.PUSH)
        self._push.set(zmq.SNDHWM, 64)
        self._control, self._weights = context.socket(zmq.SUB), context.socket(zmq.SUB)
        self._weights.set(zmq.RCVHWM, 0)
        self._control.set(zmq.RCVHWM, 0)
        self._control.subscribe(BEACON)
        self._weights.subscribe(weights_topic(RUN))
        self._actors: dict[bytes, _Actor] = {}
        for index, speed in speeds.items():
            actor = f"load.{index}"
            rng = random.Random(index)
            session = ActorSession(actor, secrets.randbits(52), "load", _CONFIG, rng)
            self._actors[actor.encode()] = _Actor(session, speed)
            self._control.subscribe(delivery_topic(actor))
        for made, endpoint in (
            (self._push, endpoints.ingest),
            (self._control, endpoints.control),
            (self._weights, endpoints.weights),
        ):
            if invitation is not None:
                encrypt(made, invitation)
            made.connect(endpoint)
        self._payloads = payloads
        # One at a time: the broker's queue to one socket holds two snapshots, and all share it.
        self._joining = deque(self._actors)
        self._join_next()
        self._due: list[tuple[float, bytes]] = []
        self._presence_due_s = 0.0
        self.sources = (self._control, self._weights)

    @property
    def next_event_at_s(self) -> float:
        """When something next becomes due by time alone."""
        return min(self._due[0][0] if self._due else math.inf, self._presence_due_s)

    def step(self) -> None:
        """Handles what has arrived, and what is due."""
        self._receive()
        now_s = time.monotonic()
        while self._due and self._due[0][0] <= now_s:
            self._finish_if_due(*heapq.heappop(self._due), now_s)
        if now_s >= self._presence_due_s:
            self._presence_due_s = now_s + _SERVE_EVERY_S
            for actor in self._actors.values():
                self._serve(actor, now_s)

    @property
    def totals(self) -> dict[str, Totals]:
        """How the batches of each client ended."""
        return {a.session.actor: a.session.sender.totals for a in self._actors.values()}

    def _join_next(self) -> None:
        if self._joining:
            self._weights.subscribe(snapshot_topic(self._joining.popleft().decode()))

    def _receive(self) -> None:
        touched: set[bytes] = set()
        for source in (self._control, self._weights):
            while (frames := receive(source)) is not None:
                touched |= self._dispatch(bytes(frames[0]), frames[1:])
        now_s = time.monotonic()
        for name in touched:
            self._look(name, now_s)

    def _dispatch(self, topic: bytes, frames: list[memoryview]) -> set[bytes]:
        now_s = time.monotonic()
        if topic == BEACON:
            for actor in self._actors.values():
                actor.session.on_control(frames, now_s)
            return set()
        kind, name = topic[:1], topic[1:-1]
        if kind == b"d":
            self._actors[name].session.on_control(frames, now_s)
            return {name}
        if kind == b"s":
            self._join_next()
            self._actors[name].session.on_weights(frames)
            return {name}
        for actor in self._actors.values():
            actor.session.on_weights(frames)
        return set(self._actors)

    def _look(self, name: bytes, now_s: float) -> None:
        """Begins a batch if possible, or cuts the open one if newer weights do."""
        actor = self._actors[name]
        session, begun = actor.session, actor.begun
        if begun is None:
            self._begin(name, actor, now_s, now_s)
        elif session.newest_version != begun.version:
            update = session.policy_update()
            if update is not None and update.policy.manifest.flow.cut_on_new_weights:
                steps = math.ceil((now_s - begun.at_s) * actor.steps_per_s)
                self._close_after(min(actor.steps, max(1, steps)), name, actor, begun)
        self._serve(actor, now_s)

    def _begin(self, name: bytes, actor: _Actor, at_s: float, now_s: float) -> None:
        session = actor.session
        version, credit = session.newest_version, session.credit
        if version is None or credit is None or not session.may_begin():
            return
        actor.begun = begun = _Begun(at_s, version, credit)
        if math.isinf(actor.steps_per_s):
            actor.steps = credit.fragment_steps
            self._finish(name, actor, begun, now_s, now_s)
            return
        in_time = math.ceil(credit.fragment_s * actor.steps_per_s)
        self._close_after(max(1, min(credit.fragment_steps, in_time)), name, actor, begun)

    def _close_after(self, steps: int, name: bytes, actor: _Actor, begun: _Begun) -> None:
        """Plans the end of a batch, after the step in progress, as simulators do."""
        due_s = begun.at_s + steps / actor.steps_per_s
        if due_s != actor.due_s:
            actor.steps, actor.due_s = steps, due_s
            heapq.heappush(self._due, (due_s, name))

    def _finish_if_due(self, due_s: float, name: bytes, now_s: float) -> None:
        actor = self._actors[name]
        if actor.begun is not None and actor.due_s == due_s:  # it was not cut
            self._finish(name, actor, actor.begun, due_s, now_s)

    def _finish(self, name: bytes, actor: _Actor, begun: _Begun, at_s: float, now_s: float) -> None:
        actor.begun = None
        session = actor.session
        actor.has_discarded = session.is_outdated(begun.version) and not actor.has_discarded
        if not actor.has_discarded:  # as `VectorAgent` does
            payload, env_steps = self._payloads.of(actor.steps)
            session.push(PushedBatch(begun.version, RUN, env_steps, payload))
        self._serve(actor, now_s)
        self._begin(name, actor, at_s, now_s)

    def _serve(self, actor: _Actor, now_s: float) -> None:
        presence = actor.session.next_presence(now_s)
        if presence is not None:
            send(self._push, presence)
        while (batch := actor.session.next_batch(now_s)) is not None:
            seq, frames = batch
            send(self._push, frames)
            actor.session.mark_sent(seq, now_s)


def run_load(
    address: str,
    speeds: Sequence[float],
    payloads: Payloads,
    stop: Connection,
    invitation: Invitation | None = None,
) -> None:
    """Runs a fleet until something arrives at `stop`; answers with `Totals` by client."""
    parts = [
        dict(list(enumerate(speeds))[start : start + _CLIENTS_PER_SOCKET])
        for start in range(0, len(speeds), _CLIENTS_PER_SOCKET)
    ]
    loads = [Load(address, part, payloads, invitation) for part in parts]
    poller = zmq.Poller()
    for load in loads:
        for source in load.sources:
            poller.register(source, zmq.POLLIN)
    while not stop.poll():
        wait_s = min(load.next_event_at_s for load in loads) - time.monotonic()
        poller.poll(int(max(0.0, min(0.05, wait_s)) * 1000))
        for load in loads:
            load.step()
    stop.send({actor: totals for load in loads for actor, totals in load.totals.items()})
