"""The broker's reports to actors: delivery states and the beacon."""

from __future__ import annotations

import msgspec

from headrace.broker.routing.admission import Admission
from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import Effect, PublishControl
from headrace.protocol.messages import Beacon, Delivery
from headrace.protocol.topics import BEACON, delivery_topic


class Deliveries:
    """Makes at most one delivery state per actor and round, and a beacon at a fixed interval."""

    def __init__(self, state: BrokerState, admission: Admission, now_s: float) -> None:
        self._state = state
        self._admission = admission
        self._beacon_due_s = now_s

    def send_beacon_if_due(self, now_s: float) -> None:
        """Sends all subscribers the broker's incarnation, and the newest run and version."""
        if now_s < self._beacon_due_s:
            return
        self._beacon_due_s = now_s + self._state.config.beacon_s
        published, presence = self._state.policy.published, self._state.presence
        presence.follow(self._state.fleet.totals.live)
        message = Beacon(
            broker=self._state.incarnation,
            run=published.manifest.run if published else None,
            version=published.version if published else None,
            learner=bool(self._state.sessions),
            max_payload_bytes=self._state.config.limits.max_payload_bytes,
            presence_s=presence.seconds if presence.seconds > 1.0 else msgspec.UNSET,
        )
        self._state.outbox.add(PublishControl(BEACON, message))

    def take_scheduled(self) -> list[Effect]:
        """Returns, once, the delivery states that are due."""
        state = self._state
        accepts = self._admission.accepts_now
        effects: list[Effect] = []
        for origin, gap in state.outbox.take_scheduled().items():
            record = state.fleet.find(origin)
            if record is None:
                continue
            message = Delivery(
                broker=state.incarnation,
                incarnation=origin[1],
                accepted=record.receiver.accepted,
                acknowledged=record.receiver.acknowledged,
                totals=record.receiver.totals,
                credit=state.credit.credit_of(origin) if state.credit else None,
                gap=gap,
                accepts=accepts and origin not in state.waiting,
                task=state.evaluations.task_of(origin),
                assignment=state.assignments.current,
            )
            effects.append(PublishControl(delivery_topic(origin[0]), message))
        return effects
