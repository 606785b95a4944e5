"""How many env steps fit a batch, by what the manifest says of one."""

from __future__ import annotations

import math

from headrace.protocol.limits import MIB
from headrace.protocol.manifest import Manifest, numpy_dtype

BATCH_BYTES = 32 * MIB
"""Batches end at about this size. Several are under way, and each is copied while it is made."""

_FILLED_SHARE = 0.8
"""Of the largest payload: the rest is for the chunk table and the chunks' last observations."""


def env_step_bytes(manifest: Manifest) -> int:
    """Returns the uncompressed size of one env step; with several agents, if all of them act."""
    agents = max(1, len(manifest.agents or ()) / len(manifest.modules))
    size_bytes = sum(
        numpy_dtype(column).itemsize * math.prod(column.shape)
        for module in manifest.modules.values()
        for column in module.columns
    )
    return max(1, round(agents * size_bytes))


def most_env_steps(manifest: Manifest, max_payload_bytes: float = math.inf) -> int:
    """Returns how many env steps a batch should have at most.

    Args:
        max_payload_bytes: the largest payload that the broker takes.
    """
    size_bytes = min(BATCH_BYTES, _FILLED_SHARE * max_payload_bytes)
    return max(1, int(size_bytes / env_step_bytes(manifest)))
