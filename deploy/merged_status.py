"""The status of several brokers as one: their books and fleets add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from headrace.broker.routing.status import BrokerStatus, LearnerStatus, TrafficStatus
from headrace.protocol.messages import Ledger
from headrace.protocol.messages.parts import summed


@dataclass(frozen=True)
class BrokerPart:
    """One broker of several.

    Attributes:
        name: what the column "broker" shows for its actors.
        place: its HTTP address.
        status: None if it does not answer.
    """

    name: str
    place: str
    status: BrokerStatus | None


def merged_status(parts: Sequence[BrokerPart]) -> BrokerStatus:
    """Returns one status of the brokers that answer, of which there is at least one."""
    known = [(part.name, part.status) for part in parts if part.status is not None]
    statuses = [status for _, status in known]
    first = statuses[0]
    return msgspec.structs.replace(
        first,
        run=next((s.run for s in statuses if s.run is not None), None),
        version=max((s.version for s in statuses if s.version is not None), key=_of, default=None),
        task=next((s.task for s in statuses if s.task is not None), None),
        uptime_s=min(s.uptime_s for s in statuses),
        queue_batches=sum(s.queue_batches for s in statuses),
        queue_env_steps=sum(s.queue_env_steps for s in statuses),
        queue_bytes=sum(s.queue_bytes for s in statuses),
        reserved_env_steps=sum(s.reserved_env_steps for s in statuses),
        fragment_steps=max(s.fragment_steps or 0 for s in statuses) or None,
        fragment_s=max(s.fragment_s or 0.0 for s in statuses) or None,
        live_actors=sum(s.live_actors for s in statuses),
        silent_actors=sum(s.silent_actors for s in statuses),
        env_steps_per_s=sum(s.env_steps_per_s for s in statuses),
        policy_lag_mean=_mean_lag(statuses),
        policy_lag_max=max(s.policy_lag_max for s in statuses),
        actors=[
            msgspec.structs.replace(actor, broker=name)
            for name, status in known
            for actor in status.actors
        ],
        learners=_merged_learners([learner for s in statuses for learner in s.learners]),
        ledger=summed(Ledger, [s.ledger for s in statuses]),
        rejects={
            code: sum(s.rejects.get(code, 0) for s in statuses)
            for code in sorted({code for s in statuses for code in s.rejects})
        },
        duplicates=sum(s.duplicates for s in statuses),
        snapshots_sent=sum(s.snapshots_sent for s in statuses),
        traffic=summed(TrafficStatus, [s.traffic for s in statuses]),
        quarantined=[peer for s in statuses for peer in s.quarantined],
    )


def _merged_learners(learners: Sequence[LearnerStatus]) -> list[LearnerStatus]:
    """Returns each runner once: it has a session at every broker."""
    by_runner: dict[tuple[int, str], LearnerStatus] = {}
    for learner in learners:
        key = learner.worker_index, learner.host
        other = by_runner.get(key)
        by_runner[key] = learner if other is None else _merged_sessions(other, learner)
    return list(by_runner.values())


def _merged_sessions(one: LearnerStatus, other: LearnerStatus) -> LearnerStatus:
    newest = max((one, other), key=lambda s: s.progress.iteration if s.progress is not None else -1)
    return msgspec.structs.replace(
        newest,
        silent_s=min(one.silent_s, other.silent_s),
        leased_env_steps=one.leased_env_steps + other.leased_env_steps,
        unconfirmed=one.unconfirmed + other.unconfirmed,
        unconfirmed_bytes=one.unconfirmed_bytes + other.unconfirmed_bytes,
    )


def _mean_lag(statuses: Sequence[BrokerStatus]) -> float:
    live = sum(status.live_actors for status in statuses)
    return sum(status.policy_lag_mean * status.live_actors for status in statuses) / max(1, live)


def _of(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
