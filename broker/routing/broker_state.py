"""The state of one broker incarnation: the parts of `state` and `credit`, side by side."""

from __future__ import annotations

from headrace.broker.config import RouterConfig
from headrace.broker.credit.control import CreditControl
from headrace.broker.routing.outbox import Outbox
from headrace.broker.state.assignments import Assignments
from headrace.broker.state.batch import QueuedBatch
from headrace.broker.state.counters import Counters
from headrace.broker.state.evaluations import Evaluations
from headrace.broker.state.fleet import Fleet
from headrace.broker.state.learner_sessions import SessionRecords
from headrace.broker.state.policy_versions import PolicyVersions
from headrace.broker.state.presence_period import PresencePeriod
from headrace.broker.state.queue import TrajectoryQueue
from headrace.broker.state.rate_meter import RateMeter
from headrace.broker.state.snapshots import SnapshotSchedule
from headrace.broker.state.stored_batches import StoredBatches
from headrace.protocol.identity import Origin

_YOUNG_S = 60.0
"""How long after startup actors and sessions of an earlier broker may reconnect."""


class BrokerState:
    """Data only: rules that touch several parts belong to the handlers.

    Attributes:
        credit: None before the first version is published.
        store: None without a journal.
        steps: env steps that arrive.
        evaluated: evaluation batches that arrived in this round, each with its session.
        waiting: env steps and bytes of the batch that could not be accepted yet, by actor, in the
            order of waiting.
    """

    def __init__(self, config: RouterConfig, incarnation: int, now_s: float) -> None:
        self.config = config
        self.incarnation = incarnation
        self.started_at_s = now_s
        self.outbox = Outbox()
        self.fleet = Fleet()
        self.queue = TrajectoryQueue(config.queue_env_steps, config.max_held_bytes)
        self.sessions = SessionRecords(config.session_timeout_s)
        self.policy = PolicyVersions(config.limits)
        self.snapshots = SnapshotSchedule(config.snapshot_repeat_s)
        self.counters = Counters()
        self.assignments = Assignments()
        self.evaluations = Evaluations()
        self.evaluated: list[tuple[int, QueuedBatch]] = []
        self.credit: CreditControl | None = None
        self.store: StoredBatches | None = None
        self.steps = RateMeter()
        self.presence = PresencePeriod(config.presences_per_s)
        self.waiting: dict[Origin, tuple[int, int]] = {}

    @property
    def held_bytes(self) -> int:
        """Bytes of all batches that are queued or leased."""
        return self.queue.bytes + self.sessions.leased_bytes

    def is_young(self, now_s: float) -> bool:
        """Returns whether actors and sessions of an earlier broker may still reconnect."""
        return now_s - self.started_at_s < _YOUNG_S

    def session_count(self, now_s: float) -> int:
        """Returns how many sessions the learner has; at first, including those not yet back.

        If this broker dies too, the next one must know that they may have trained on batches that
        actors send again.
        """
        return len(self.sessions) + (self.sessions.missing if self.is_young(now_s) else 0)

    @property
    def evaluators(self) -> list[Origin]:
        """Live actors that run evaluation episodes."""
        return [r.origin for r in self.fleet if r.is_live and r.presence.evaluates]

    def schedule_deliveries(self) -> None:
        """Schedules the delivery states of all live actors for the end of the round."""
        for record in self.fleet:
            if record.is_live:
                self.outbox.schedule_delivery(record.origin)
