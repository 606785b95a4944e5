"""A finished batch as bytes, encoded once for all transmissions."""

from __future__ import annotations

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.connection.session import PushedBatch
from headrace.protocol.compression import compress
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.messages import Purpose
from headrace.protocol.trajectory import TrajectoryBatch, pack_batch


def encode_batch(
    batch: TrajectoryBatch,
    update: PolicyUpdate,
    env_steps: int,
    *,
    task: str | None,
    purpose: Purpose,
    more: bool,
    limits: DecodeLimits,
) -> PushedBatch:
    """Returns a batch ready for `ActorSession.push`, compressed if the learner asks for it.

    Raises:
        LocalProtocolError: the batch cannot be encoded, or is too large.
    """
    payload = pack_batch(batch)
    if len(payload) > limits.max_payload_bytes:
        raise LocalProtocolError(
            f"a batch of {len(payload):,} bytes, and the broker takes "
            f"{limits.max_payload_bytes:,}: record fewer steps per batch, or start the broker with "
            "a larger --max-payload-bytes"
        )
    manifest = update.policy.manifest
    compression, payload = compress(manifest.compression, payload)
    return PushedBatch(
        update.version, manifest.run, env_steps, payload, purpose, task, compression, more
    )
