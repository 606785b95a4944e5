"""What an operator may set on a broker."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.broker.access.policing import ConductLimits
from headrace.protocol.endpoints import DEFAULT_ADDRESS
from headrace.protocol.limits import MIB, DecodeLimits


@dataclass(frozen=True)
class RouterConfig:
    """Times and bounds of the router.

    Attributes:
        queue_env_steps, queue_bytes: bounds of the queue; above them batches are not accepted and
            stay with their actors.
        actor_timeout_s: an actor that was silent for so long gets no credit.
        forget_s: an actor that was silent for so long has died; what it held is lost with it.
        session_timeout_s: a learner session that was silent for so long has ended.
        reclaim_s: how long after its start a broker holds back retransmitted batches for the
            learner session that may already have taken them.
        max_attempts: leases of one batch before it counts as poison.
        validates: whether batches are decoded and compared with the manifest at the door; without,
            a bad one is found by the learner.
        beacon_s: time between beacons.
        conduct: what each peer with a key may do.
        snapshot_repeat_s: shortest time before an actor that stays behind gets its snapshot again;
            it doubles with each repetition.
    """

    queue_env_steps: int = 2_000_000
    queue_bytes: int = 1024 * MIB
    actor_timeout_s: float = 5.0
    forget_s: float = 600.0
    session_timeout_s: float = 10.0
    reclaim_s: float = 3.0
    max_attempts: int = 3
    validates: bool = True
    beacon_s: float = 1.0
    snapshot_repeat_s: float = 5.0
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    conduct: ConductLimits = field(default_factory=ConductLimits)


@dataclass(frozen=True)
class BrokerConfig:
    """Where a broker listens, and how it stops.

    Attributes:
        address: see `BrokerAddress.parse`; port 0 lets the system choose.
        http_address: host:port of health and status; empty for none.
        drain_s: after SIGTERM, how long learners may still take what is queued.
        keys: the folder of `headrace keygen`, which only admits who was invited; empty for none.
        journal: the folder of the journal; empty for none. With it, actors are done with a batch
            once the disk has it.
        journal_bytes: at this size batches are not accepted until some have ended.
        dead_letters: the file that keeps batches which were given up; empty for none.
    """

    address: str = DEFAULT_ADDRESS
    http_address: str = "127.0.0.1:5560"
    drain_s: float = 5.0
    keys: str = ""
    journal: str = ""
    journal_bytes: int = 16 * 1024 * MIB
    dead_letters: str = ""
    router: RouterConfig = field(default_factory=RouterConfig)
