"""A broker's status, as a fleet of walkers might have it."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.broker.routing.actor_status import ActorStatus, actor_status
from headrace.broker.routing.router import Router
from headrace.broker.routing.status import BrokerStatus, LearnerStatus, TrafficStatus
from headrace.protocol.messages import LearnerProgress, Ledger


def actors_of(router: Router, now_s: float = 0.0) -> list[ActorStatus]:
    """Returns the status of all actors."""
    return list(map(actor_status, router.snapshots_of(router.actors, now_s)))


def whole_status(router: Router, now_s: float) -> BrokerStatus:
    """Returns the status with all actors, as `StatusReader` does in pages."""
    return msgspec.structs.replace(router.status(now_s), actors=actors_of(router, now_s))


def make_actor(number: int, **changed: Any) -> ActorStatus:
    settings: dict[str, Any] = {
        "actor": f"walker-{number}",
        "host": f"sim-{number % 3}",
        "client": "headrace python",
        "is_live": True,
        "silent_s": 0.4,
        "steps_per_s": 1000.0 + 37 * number,
        "env_steps": 81_920,
        "unrecorded_env_steps": 0,
        "broken_episodes": 0,
        "version": "1.184",
        "policy_lag": number % 2,
        "unarrived": 2,
        "produced": 320 + number,
        "accepted": 320,
        "acknowledged": 318,
        "rejected": 0,
        "stale": 0,
        "last_reject": "",
        "advice": "",
        **changed,
    }
    return ActorStatus(**settings)


def make_silent(number: int, silent_s: float, **changed: Any) -> ActorStatus:
    advice = "silent; check that its process runs and can reach the ingest endpoint"
    silence: dict[str, Any] = {
        "is_live": False,
        "silent_s": silent_s,
        "steps_per_s": 0.0,
        "advice": advice,
    }
    return make_actor(number, **{**silence, **changed})


def make_status(actors: list[ActorStatus], **changed: Any) -> BrokerStatus:
    produced = sum(one.produced for one in actors)
    live = [one for one in actors if one.is_live]
    lags = [one.policy_lag for one in live if one.policy_lag is not None]
    settings: dict[str, Any] = {
        "run": "walker-ppo",
        "version": "1.184",
        "task": None,
        "uptime_s": 4521.0,
        "queue_batches": 16,
        "queue_env_steps": 4000,
        "queue_bytes": 1 << 20,
        "reserved_env_steps": 8000,
        "fragment_steps": 250,
        "fragment_s": 0.125,
        "live_actors": len(live),
        "silent_actors": len(actors) - len(live),
        "env_steps_per_s": sum(one.steps_per_s for one in live),
        "policy_lag_mean": sum(lags) / len(lags) if lags else 0.0,
        "policy_lag_max": max(lags, default=0),
        "actors": actors,
        "learners": [
            LearnerStatus(0, "gpu-1", 0.1, 4000, 16, 1 << 20, LearnerProgress(409_600, 100, 1234.5))
        ],
        "ledger": Ledger(produced=produced, consumed=produced - 48, held=48),
        "rejects": {},
        "duplicates": 0,
        "snapshots_sent": len(actors),
        "traffic": TrafficStatus(0, 0, 0, 0, 0.0, 0, 0.0),
        "quarantined": [],
        **changed,
    }
    return BrokerStatus(**settings)
