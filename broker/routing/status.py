"""A broker's status as data: the JSON of `/status`."""

from __future__ import annotations

import msgspec

from headrace.broker.access.policing import QuarantineStatus
from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.state.actor_record import ActorRecord
from headrace.protocol.messages import LearnerProgress, Ledger


class ActorStatus(msgspec.Struct, frozen=True):
    """One actor.

    Attributes:
        policy_lag: versions published since the one it acts with; None if it has none.
        unarrived: granted batches that have not arrived.
        advice: what the operator should do; empty if nothing.
        broker: which one it uses, where several are shown together.
    """

    actor: str
    host: str
    client: str
    is_live: bool
    silent_s: float
    steps_per_s: float
    env_steps: int
    unrecorded_env_steps: int
    broken_episodes: int
    version: str | None
    policy_lag: int | None
    unarrived: int
    produced: int
    accepted: int
    acknowledged: int
    rejected: int
    stale: int
    last_reject: str
    advice: str
    broker: str | msgspec.UnsetType = msgspec.UNSET


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
    actors: list[ActorStatus]
    learners: list[LearnerStatus]
    ledger: Ledger
    rejects: dict[str, int]
    duplicates: int
    snapshots_sent: int
    traffic: TrafficStatus
    quarantined: list[QuarantineStatus]


def status_of(
    state: BrokerState,
    ledger: Ledger,
    quarantined: list[QuarantineStatus],
    now_s: float,
) -> BrokerStatus:
    """Returns the status of a broker."""
    published = state.policy.published
    credit = state.credit
    return BrokerStatus(
        run=published.manifest.run if published else None,
        version=str(published.version) if published else None,
        task=state.assignments.current.task if state.assignments.current else None,
        uptime_s=now_s - state.started_at_s,
        queue_batches=len(state.queue),
        queue_env_steps=state.queue.env_steps,
        queue_bytes=state.queue.bytes,
        reserved_env_steps=credit.reserved_steps if credit else 0,
        fragment_steps=credit.fragment_steps_of(state.queue.env_steps) if credit else None,
        fragment_s=credit.window.fragment_s if credit else None,
        actors=[_actor_status(state, record, now_s) for record in state.fleet],
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


def _actor_status(state: BrokerState, record: ActorRecord, now_s: float) -> ActorStatus:
    version = record.presence.version
    totals = record.receiver.totals
    return ActorStatus(
        actor=record.origin[0],
        host=record.host,
        client=record.client,
        is_live=record.is_live,
        silent_s=now_s - record.last_heard_s,
        steps_per_s=record.steps.per_s(now_s),
        env_steps=record.presence.env_steps,
        unrecorded_env_steps=record.presence.unrecorded_env_steps,
        broken_episodes=record.presence.broken_episodes or 0,
        version=str(version) if version else None,
        policy_lag=_lag(state, record),
        unarrived=state.credit.unarrived_of(record.origin) if state.credit else 0,
        produced=record.produced,
        accepted=record.receiver.accepted,
        acknowledged=record.receiver.acknowledged,
        rejected=totals.rejected,
        stale=totals.stale,
        last_reject=record.last_reject,
        advice=_advice(record),
    )


def _lag(state: BrokerState, record: ActorRecord) -> int | None:
    published, version = state.policy.published, record.presence.version
    if published is None or version is None or version.epoch != published.version.epoch:
        return None
    return max(0, published.version.number - version.number)


def _advice(record: ActorRecord) -> str:
    if record.is_stale_by_nature:
        return (
            "its last batches were all stale: it is too slow or too far away for this learner; "
            "give it a faster machine or link, or raise max_policy_lag"
        )
    if not record.is_live:
        return "silent; check that its process runs and can reach the ingest endpoint"
    count = record.presence.broken_episodes
    if count:
        dropped = "1 episode was" if count == 1 else f"{count} episodes were"
        return f"its simulator failed and {dropped} dropped; see its log"
    return ""
