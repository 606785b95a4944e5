"""A broker's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.broker.access.policing import PolicingLimits
from headrace.protocol.endpoints import DEFAULT_ADDRESS
from headrace.protocol.limits import MIB, DecodeLimits


@dataclass(frozen=True)
class RouterConfig:
    """The router's timeouts and limits.

    Attributes:
        queue_env_steps: bound of the queue; beyond it batches are not accepted and stay with their
            actors.
        max_held_bytes: bound of the batches that are queued or leased; credit ends at it, and
            batches beyond it stay with their actors.
        presences_per_s: how many actors report each second that they are alive; where there are
            more, each reports more rarely, and the next two limits are stretched.
        actor_timeout_s: an actor that has been silent this long gets no credit.
        forget_s: an actor that has been silent this long is considered dead, and its undelivered
            batches lost, unless it speaks again.
        session_timeout_s: a learner session that has been silent this long has ended.
        reclaim_s: how long after startup a broker holds back retransmitted batches for the learner
            session that may already have taken them.
        max_attempts: leases of one batch before it counts as poison.
        validates: whether batches are decoded and checked against the manifest on arrival;
            otherwise the learner finds the bad ones.
        beacon_s: interval between beacons.
        policing: rate limits and quarantine for each peer with a key.
        snapshot_repeat_s: initial interval after which an actor that is still behind is sent its
            snapshot again; it doubles with each repetition.
    """

    queue_env_steps: int = 2_000_000
    max_held_bytes: int = 384 * MIB
    presences_per_s: float = 300.0
    actor_timeout_s: float = 5.0
    forget_s: float = 120.0
    session_timeout_s: float = 10.0
    reclaim_s: float = 3.0
    max_attempts: int = 3
    validates: bool = True
    beacon_s: float = 1.0
    snapshot_repeat_s: float = 5.0
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    policing: PolicingLimits = field(default_factory=PolicingLimits)


@dataclass(frozen=True)
class BrokerConfig:
    """Where a broker listens, and how it stops.

    Attributes:
        address: see `BrokerAddress.parse`; port 0 lets the system choose.
        http_address: host:port of the status server; empty for none.
        drain_s: after SIGTERM, how long learners may still take queued batches.
        keys: the folder that `headrace keygen` created; only invited peers are admitted. Empty for
            none.
        journal: the folder of the journal; empty for none. With a journal, a batch is acknowledged
            once it is on disk.
        journal_bytes: at this size no batch is accepted until others have ended.
        dead_letters: the file for batches that were given up; empty for none.
    """

    address: str = DEFAULT_ADDRESS
    http_address: str = "127.0.0.1:5560"
    drain_s: float = 5.0
    keys: str = ""
    journal: str = ""
    journal_bytes: int = 16 * 1024 * MIB
    dead_letters: str = ""
    router: RouterConfig = field(default_factory=RouterConfig)
