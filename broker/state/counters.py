"""How much went through a broker, and how fast weights spread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Traffic:
    """Sums since the broker started.

    Attributes:
        accepted_bytes, leased_bytes: payloads of batches, in and out.
        published_bytes: weights and policies, once for each message.
        publishes, publish_s: how often a learner was asked for weights, and how long they took.
        fan_outs, fan_out_s: how often an actor said that it has the newest version, and how long
            after its publishing.
    """

    accepted_bytes: int = 0
    leased_bytes: int = 0
    published_bytes: int = 0
    publishes: int = 0
    publish_s: float = 0.0
    fan_outs: int = 0
    fan_out_s: float = 0.0
