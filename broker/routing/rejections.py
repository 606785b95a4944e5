"""Rejects to actors and refusals to learners, each with a reason."""

from __future__ import annotations

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import PublishControl, SendToLearner
from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Refusal, Reject
from headrace.protocol.topics import delivery_topic

_LONGEST_REASON = 4000


class Rejections:
    """Sends rejects and refusals, and counts each under its code."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    @property
    def total(self) -> int:
        """Number of rejects and refusals so far."""
        return self._state.counters.rejects.total()

    def count(self, code: RejectCode) -> None:
        """Counts a reject whose sender cannot be answered."""
        self._state.counters.rejects[code] += 1

    def reject(self, origin: Origin, code: RejectCode, reason: str, seq: int | None = None) -> None:
        """Rejects an actor's message, or its batch `seq`."""
        self.count(code)
        self._state.outbox.add(
            PublishControl(
                delivery_topic(origin[0]),
                Reject(incarnation=origin[1], code=code, reason=reason[:_LONGEST_REASON], seq=seq),
            )
        )
        record = self._state.fleet.find(origin)
        if record is not None:
            record.last_reject = reason

    def refuse(self, routing_id: bytes, session: int, code: RejectCode, reason: str) -> None:
        """Refuses a learner's message."""
        self.count(code)
        message = Refusal(session=session, code=code, reason=reason[:_LONGEST_REASON])
        self._state.outbox.add(SendToLearner(routing_id, message))
