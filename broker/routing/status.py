"""A broker's status as data: the JSON of `/status`."""

from __future__ import annotations

from collections import Counter

import msgspec

from headrace.broker.access.policing import QuarantineStatus
from headrace.broker.routing.actor_status import ActorStatus
from headrace.broker.routing.broker_state import BrokerState
from headrace.protocol.messages import LearnerProgress, Ledger


class LearnerStatus(msgspec.Struct, frozen=True):
    """One learner session."""

    worker_index: int
    host: str
    silent_s: float
    leased_env_steps: int
    unconfirmed: int
    unconfirmed_bytes: int
    progress: LearnerProgress | None


class TrafficStatus(msgspec.Struct, frozen=True):
    """Traffic so far; see `Counters`."""

    accepted_bytes: int
    leased_bytes: int
    published_bytes: int
    publishes: int
    publish_s: float
    fan_outs: int
    fan_out_s: float


class BrokerStatus(msgspec.Struct, frozen=True):
    """The whole broker.

    Attributes:
        task: what the learner has assigned to all actors; None if nothing.
        policy_lag_mean, policy_lag_max: of live actors; 0 if none has a policy.
        actors: a part of them, in the order of their ids.
        more_after: the last id of that part, if others follow.
    """

    run: str | None
    version: str | None
    task: str | None
    uptime_s: float
    queue_batches: int
    queue_env_steps: int
    queue_bytes: int
    reserved_env_steps: int
    fragment_steps: int | None
    fragment_s: float | None
    live_actors: int
    silent_actors: int
    env_steps_per_s: float
    policy_lag_mean: float
    policy_lag_max: int
    learners: list[LearnerStatus]
    ledger: Ledger
    rejects: dict[str, int]
    duplicates: int
    snapshots_sent: int
    traffic: TrafficStatus
    quarantined: list[QuarantineStatus]
    actors: list[ActorStatus] = []
    more_after: str | None = None


def status_of(
    state: BrokerState,
    ledger: Ledger,
    quarantined: list[QuarantineStatus],
    now_s: float,
) -> BrokerStatus:
    """Returns the status of a broker without its actors, in a time that does not grow with them."""
    published = state.policy.published
    credit = state.credit
    live = state.fleet.totals.live
    lags = state.fleet.lags_behind(published.version) if published is not None else Counter()
    return BrokerStatus(
        run=published.manifest.run if published else None,
        version=str(published.version) if published else None,
        task=state.assignments.current.task if state.assignments.current else None,
        uptime_s=now_s - state.started_at_s,
        queue_batches=len(state.queue),
        queue_env_steps=state.queue.env_steps,
        queue_bytes=state.queue.bytes,
        reserved_env_steps=credit.reserved_steps if credit else 0,
        fragment_steps=credit.next_fragment_steps(state.queue.env_steps) if credit else None,
        fragment_s=credit.window.fragment_s if credit else None,
        live_actors=live,
        silent_actors=len(state.fleet) - live,
        env_steps_per_s=state.steps.per_s(now_s),
        policy_lag_mean=_mean(lags),
        policy_lag_max=max(lags, default=0),
        learners=[
            LearnerStatus(
                worker_index=session.hello.worker_index,
                host=session.hello.host,
                silent_s=now_s - session.last_heard_s,
                leased_env_steps=session.leased_env_steps,
                unconfirmed=len(session.leases),
                unconfirmed_bytes=session.leased_bytes,
                progress=session.progress,
            )
            for session in state.sessions
        ],
        ledger=ledger,
        rejects={code.value: count for code, count in state.counters.rejects.items()},
        duplicates=state.counters.duplicates,
        snapshots_sent=state.snapshots.sent,
        traffic=TrafficStatus(
            **{name: getattr(state.counters, name) for name in TrafficStatus.__struct_fields__}
        ),
        quarantined=quarantined,
    )


def _mean(counts: Counter[int]) -> float:
    total = sum(value * count for value, count in counts.items())
    return total / counts.total() if counts else 0.0
