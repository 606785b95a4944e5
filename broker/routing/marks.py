"""Marks: what learners report having taken from actors, under this broker or an earlier one."""

from __future__ import annotations

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.settlement import Settlement
from headrace.broker.state.actor_record import ActorRecord
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Mark, Presence

_REMEMBERED_MARKS = 20_000


class Marks:
    """Keeps each mark until its actor has said hello, then applies it to the actor's record."""

    def __init__(self, state: BrokerState, settlement: Settlement) -> None:
        self._state = state
        self._settlement = settlement
        self._marks: dict[Origin, Mark] = {}

    def add(self, mark: Mark) -> None:
        """Adds a learner's mark of an incarnation; applied now, or once the actor says hello."""
        origin = (mark.actor, mark.incarnation)
        known = self._marks.pop(origin, None)
        if known is not None:
            mark = Mark(*origin, max(mark.ended, known.ended), mark.confirmed + known.confirmed)
        self._marks[origin] = mark
        if len(self._marks) > _REMEMBERED_MARKS:
            del self._marks[next(iter(self._marks))]
        record = self._state.fleet.find(origin)
        if record is not None:
            self._apply(record)

    def catch_up(self, record: ActorRecord, presence: Presence) -> None:
        """Updates an actor's record from its presence, and from its mark.

        Raises:
            RemoteProtocolError: the totals in the presence do not add up.
        """
        ended = record.receiver.adopt_counts(presence.acknowledged, presence.totals)
        self._forget(record, ended)
        self._apply(record)

    def _apply(self, record: ActorRecord) -> None:
        mark = self._marks.pop(record.origin, None)
        if mark is None:
            return
        # A mark cannot exceed what its actor produced.
        confirmed = [seq for seq in mark.confirmed if seq <= record.produced]
        ended = record.receiver.apply_mark(min(mark.ended, record.produced), confirmed)
        self._forget(record, ended)
        self._state.outbox.schedule_delivery(record.origin)
        self._state.fleet.close_if_finished(record)

    def _forget(self, record: ActorRecord, ended: list[int]) -> None:
        """Drops batches that ended elsewhere, and stops waiting for them."""
        self._settlement.remove_ended(record.origin, ended)
        if self._state.credit is not None:
            self._state.credit.caught_up(record.origin, record.receiver.accepted)
