"""Policies for tests to publish, a policy server in a thread, and a hand-written thin simulator."""

from __future__ import annotations

import threading
from typing import Any, Self

import msgpack
import numpy as np
import zmq
from gymnasium.spaces import Box, Discrete

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.agents.policy_runner import ModuleOf
from headrace.actors.connection.client import Client
from headrace.actors.inference.policy_server import PolicyServer
from headrace.actors.inference.request_handler import InferenceConfig
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.arrays import Array
from headrace.protocol.flow_control import Flow, OnPolicyFlow
from headrace.protocol.manifest import (
    DEFAULT_MODULE,
    Manifest,
    Policy,
    encode_policy,
    policy_digest,
)
from headrace.protocol.payload import encode_payload
from headrace.protocol.trajectory import Chunk, unpack_batch
from support.machine import scaled
from support.policies import Exported, shared_export
from support.running import DEADLINE_S, Context, Learner


def publish(
    learner: Learner,
    modules: dict[str, Exported],
    *,
    number: int = 1,
    flow: Flow = OnPolicyFlow(train_batch_env_steps=160),
    multi_agent: bool = False,
) -> None:
    manifest = Manifest(
        run="test-run",
        flow=flow,
        modules={name: made.exported.manifest for name, made in modules.items()},
        multi_agent=multi_agent,
    )
    graphs = {name: made.exported.graph for name, made in modules.items()}
    frame = encode_policy(Policy(manifest, graphs))
    weights = encode_payload({name: made.weights for name, made in modules.items()})
    digest = f"{number:08x}"
    learner.link.offer(OfferedWeights(number, digest, policy_digest(frame), frame, weights))


def one_module() -> dict[str, Exported]:
    return {DEFAULT_MODULE: shared_export(Box(-10.0, 10.0, (2,)), Discrete(2))}


def point(value: float) -> Array:
    return np.full(2, value, np.float32)


def chunks_of(learner: Learner, env_steps: int) -> list[Chunk]:
    batches = learner.take(env_steps)
    return [chunk for batch in batches for chunk in unpack_batch(batch.payload)]


_pack = msgpack.Packer(use_bin_type=True).pack


class ServerThread:
    """A policy server, and the client that connects it to the broker."""

    def __init__(
        self,
        broker: str,
        *,
        actor: str = "server",
        endpoint: str = "tcp://127.0.0.1:0",
        module_of: ModuleOf | None = None,
        **config: Any,
    ) -> None:
        self._context: Context = zmq.Context()
        self._client = Client(broker, actor=actor, context=self._context)
        agent = EpisodeAgent(self._client, module_of=module_of, seed=0)
        settings = InferenceConfig(**config)
        self.server = PolicyServer(agent, endpoint, context=self._context, config=settings)
        self.endpoint = self.server.endpoint
        self._thread = threading.Thread(target=self.server.run, name="policy server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._client.close()
        self._context.term()  # frees the port


class ThinSimulator:
    """Talks to a policy server with msgpack and a socket, as SPEC.md specifies."""

    def __init__(self, context: Context, endpoint: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(endpoint)
        self.socket.set(zmq.RCVTIMEO, round(scaled(10_000)))

    def close(self) -> None:
        self.socket.close(linger=0)

    def send(self, kind: str, episode: str, turn: int, turns: Any, **more: Any) -> None:
        header = {"kind": kind, "wire": 1, "episode": episode, "turn": turn, **more}
        self.socket.send_multipart([_pack(header), _pack(turns)])

    def receive(self) -> tuple[dict[str, Any], Any]:
        header, *payload = self.socket.recv_multipart()
        return msgpack.unpackb(header), msgpack.unpackb(payload[0]) if payload else None

    def ask(
        self, kind: str, episode: str, turn: int, turns: Any, **more: Any
    ) -> tuple[dict[str, Any], Any]:
        self.send(kind, episode, turn, turns, **more)
        return self.receive()
