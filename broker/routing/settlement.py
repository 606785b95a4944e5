"""The end of batches: for their actors, in the journal, and in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.effects import ForgetBatch
from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.delivery import Outcome
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Ledger, Mark


class Settlement:
    """Ends each accepted batch exactly once."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def finish(self, batch: QueuedBatch, outcome: Outcome) -> None:
        """Ends a batch that was removed from the queue or a session."""
        self._forget_stored(batch, outcome)
        self._finish_for_actor(batch, outcome)

    def finish_stored(self, up_to_arrival: int) -> None:
        """Ends, for their actors, the batches that are now on disk."""
        store = self._state.store
        for batch in store.commit(up_to_arrival) if store is not None else ():
            self._finish_for_actor(batch, Outcome.STORED)

    def finish_confirmed(self, marks: Sequence[Mark]) -> None:
        """Ends batches that an earlier broker stored and a learner has confirmed since."""
        if self._state.store is None:
            return
        known = {(mark.actor, mark.incarnation): mark for mark in marks}

        def is_meant(batch: QueuedBatch) -> bool:
            mark = known.get(batch.origin)
            seq = batch.header.seq
            return mark is not None and (seq <= mark.ended or seq in mark.confirmed)

        for batch in self._state.queue.remove_if(is_meant):
            self.finish(batch, Outcome.CONSUMED)

    def remove_ended(self, origin: Origin, seqs: Sequence[int]) -> None:
        """Removes batches that have ended elsewhere from the queue and the sessions."""
        if not seqs:
            return
        ended = set(seqs)

        def is_meant(batch: QueuedBatch) -> bool:
            return batch.origin == origin and batch.header.seq in ended

        removed = self._state.queue.remove_if(is_meant)
        for session in self._state.sessions:
            removed += session.remove_if(is_meant)
        for batch in removed:
            self._forget_stored(batch, Outcome.CONSUMED)

    def ended_up_to(self, origin: Origin) -> int:
        """Returns the seq up to which all batches of an incarnation have ended; 0 if unknown."""
        state = self._state
        record = state.fleet.find(origin)
        acknowledged = record.receiver.acknowledged if record is not None else 0
        return state.store.ended_up_to(origin, acknowledged) if state.store else acknowledged

    def ledger(self) -> Ledger:
        """Returns how the fleet's batches ended, and how many are held."""
        state = self._state
        leased = sum(len(session.leases) for session in state.sessions)
        ledger = state.fleet.ledger(len(state.queue) + leased)
        return state.store.add_to(ledger) if state.store is not None else ledger

    def _finish_for_actor(self, batch: QueuedBatch, outcome: Outcome) -> None:
        state = self._state
        record = state.fleet.find(batch.origin)
        if record is None or not record.receiver.is_open(batch.header.seq):
            return
        record.finish(batch.header.seq, outcome)
        state.fleet.close_if_finished(record)
        state.outbox.schedule_delivery(batch.origin)

    def _forget_stored(self, batch: QueuedBatch, outcome: Outcome) -> None:
        if self._state.store is not None:
            self._state.store.end(batch, outcome)
            self._state.outbox.add(ForgetBatch(batch.arrival))
