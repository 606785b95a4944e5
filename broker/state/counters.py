"""The broker's counters: traffic, the spread of weights, and rejects."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from headrace.protocol.errors import RejectCode


@dataclass
class Counters:
    """Sums since the broker started.

    Attributes:
        accepted_bytes, leased_bytes: payloads of batches, in and out.
        published_bytes: weights and policies, counted once per message.
        publishes, publish_s: how often a learner was asked for weights, and the time they took.
        fan_outs, fan_out_s: how often an actor reported the newest version, and the time since its
            publication.
        duplicates: batches that had already arrived.
        rejects: rejects to actors and refusals to learners, by code.
    """

    accepted_bytes: int = 0
    leased_bytes: int = 0
    published_bytes: int = 0
    publishes: int = 0
    publish_s: float = 0.0
    fan_outs: int = 0
    fan_out_s: float = 0.0
    duplicates: int = 0
    rejects: Counter[RejectCode] = field(default_factory=Counter[RejectCode])
