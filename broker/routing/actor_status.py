"""One actor's status as data, and the copy of its record from which it is made.

The poll loop only copies; the rest is made where there is time.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.state.actor_record import ActorRecord
from headrace.protocol.identity import Origin, PolicyVersion
from headrace.protocol.messages import Presence, Totals


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


class ActorSnapshot(NamedTuple):
    """What was known of an actor at one moment; nothing in it changes later."""

    origin: Origin
    host: str
    client: str
    is_live: bool
    silent_s: float
    steps_per_s: float
    presence: Presence
    newest: PolicyVersion | None
    unarrived: int
    produced: int
    accepted: int
    acknowledged: int
    totals: Totals
    last_reject: str
    is_stale_by_nature: bool


def snapshot_of(state: BrokerState, record: ActorRecord, now_s: float) -> ActorSnapshot:
    """Returns a copy of what is known of an actor."""
    published, receiver = state.policy.published, record.receiver
    return ActorSnapshot(
        record.origin,
        record.host,
        record.client,
        record.is_live,
        now_s - record.last_heard_s,
        record.steps.per_s(now_s),
        record.presence,
        published.version if published is not None else None,
        state.credit.unarrived_of(record.origin) if state.credit is not None else 0,
        record.produced,
        receiver.accepted,
        receiver.acknowledged,
        receiver.totals,
        record.last_reject,
        record.is_stale_by_nature,
    )


def actor_status(seen: ActorSnapshot) -> ActorStatus:
    """Returns the status of an actor."""
    presence = seen.presence
    return ActorStatus(
        actor=seen.origin[0],
        host=seen.host,
        client=seen.client,
        is_live=seen.is_live,
        silent_s=seen.silent_s,
        steps_per_s=seen.steps_per_s,
        env_steps=presence.env_steps,
        unrecorded_env_steps=presence.unrecorded_env_steps,
        broken_episodes=presence.broken_episodes or 0,
        version=str(presence.version) if presence.version is not None else None,
        policy_lag=_lag(presence.version, seen.newest),
        unarrived=seen.unarrived,
        produced=seen.produced,
        accepted=seen.accepted,
        acknowledged=seen.acknowledged,
        rejected=seen.totals.rejected,
        stale=seen.totals.stale,
        last_reject=seen.last_reject,
        advice=_advice(seen),
    )


def _lag(version: PolicyVersion | None, newest: PolicyVersion | None) -> int | None:
    if version is None or newest is None or version.epoch != newest.epoch:
        return None
    return max(0, newest.number - version.number)


def _advice(seen: ActorSnapshot) -> str:
    if seen.is_stale_by_nature:
        return (
            "its last batches were all stale: it is too slow or too far away for this learner; "
            "give it a faster machine or link, or raise max_policy_lag"
        )
    if not seen.is_live:
        return "silent; check that its process runs and can reach the ingest endpoint"
    count = seen.presence.broken_episodes
    if count:
        dropped = "1 episode was" if count == 1 else f"{count} episodes were"
        return f"its simulator failed and {dropped} dropped; see its log"
    return ""
