"""The policy that the scripted broker publishes: CartPole's spaces and a linear module.

Actors record only observations, actions and rewards for it, so clients without an ONNX runtime can
be tested too: they may choose any actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from headrace.protocol.flow_control import OnPolicyFlow
from headrace.protocol.manifest import (
    DEFAULT_MODULE,
    ColumnSpec,
    Manifest,
    ModuleManifest,
    Policy,
    PolicyGraph,
    TensorSpec,
    encode_policy,
    policy_digest,
)
from headrace.protocol.payload import encode_payload

GRAPH_FILE = "policy.onnx"
"""`action = env_action = argmax(obs @ w + explore * noise)`."""
LOOKBACK = 2

_MODULE = ModuleManifest(
    columns=(
        ColumnSpec("obs", "float32", (4,)),
        ColumnSpec("actions", "int64", (), 0.0, 1.0),
        ColumnSpec("rewards", "float32", ()),
    ),
    graph=PolicyGraph(
        observations=(TensorSpec("obs", "float32", (4,)),),
        noise_size=2,
        weights=(TensorSpec("w", "float32", (4, 2)),),
        scalars={"explore": 1.0},
        recorded={"action": "actions"},
        env_action=TensorSpec("env_action", "int64", ()),
        max_error=0.0,
    ),
    lookback=LOOKBACK,
)


@dataclass(frozen=True)
class PublishedPolicy:
    """A policy as the broker sends it."""

    manifest: Manifest
    frame: bytes
    digest: str


def make_policy(run: str) -> PublishedPolicy:
    """Returns the kit's policy for a run."""
    manifest = Manifest(
        run=run,
        flow=OnPolicyFlow(train_batch_env_steps=1000),
        modules={DEFAULT_MODULE: _MODULE},
        environment="CartPole-v1",
    )
    graph = files("headrace.deploy.conformance").joinpath(GRAPH_FILE).read_bytes()
    frame = encode_policy(Policy(manifest, {DEFAULT_MODULE: graph}))
    return PublishedPolicy(manifest, frame, policy_digest(frame))


def make_weights(number: int) -> bytes:
    """Returns the weights frame of a version."""
    weights = np.random.default_rng(number).standard_normal((4, 2)).astype(np.float32)
    return encode_payload({DEFAULT_MODULE: {"w": weights}})
