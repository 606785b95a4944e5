"""Counts of the batches on the broker's disk, which the broker accounts for, not the actor."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.delivery import Outcome
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Ledger


class StoredBatches:
    """A batch is pending from its arrival until it is on disk, then stored until it ends.

    Attributes:
        accepts: whether the disk accepts more.
    """

    def __init__(self, recovered: Sequence[QueuedBatch] = ()) -> None:
        self._pending: OrderedDict[int, QueuedBatch] = OrderedDict()
        # By origin, in the order in which they were produced.
        self._stored: dict[Origin, dict[int, None]] = {}
        self._ended: Counter[Outcome] = Counter()
        for batch in recovered:
            self._add_stored(batch)
        self._recovered = {origin: list(seqs) for origin, seqs in self._stored.items()}
        self.accepts = True

    @property
    def is_settled(self) -> bool:
        """Whether every batch is on disk."""
        return not self._pending

    def recovered_of(self, origin: Origin) -> list[int]:
        """Returns the seqs of an incarnation's batches that an earlier broker stored."""
        return self._recovered.get(origin, [])

    def ended_up_to(self, origin: Origin, acknowledged: int) -> int:
        """Returns the seq up to which all of an incarnation's batches have ended, stored or not."""
        stored = self._stored.get(origin)
        return min(acknowledged, next(iter(stored)) - 1) if stored else acknowledged

    def add(self, batch: QueuedBatch) -> None:
        """Adds a batch that is about to be written."""
        self._pending[batch.arrival] = batch

    def commit(self, up_to_arrival: int) -> list[QueuedBatch]:
        """Marks the batches up to this arrival as stored, and returns them."""
        committed: list[QueuedBatch] = []
        while self._pending and next(iter(self._pending)) <= up_to_arrival:
            _, batch = self._pending.popitem(last=False)
            self._add_stored(batch)
            committed.append(batch)
        return committed

    def end(self, batch: QueuedBatch, outcome: Outcome) -> None:
        """Records the end of a batch."""
        if self._pending.pop(batch.arrival, None) is not None:
            return
        stored = self._stored.get(batch.origin, {})
        if batch.header.seq in stored:
            del stored[batch.header.seq]
            self._ended[outcome] += 1
            if not stored:
                del self._stored[batch.origin]

    def add_to(self, ledger: Ledger) -> Ledger:
        """Returns the ledger plus the stored batches; those still open already count as held."""
        ended = self._ended
        return Ledger(
            produced=ledger.produced + sum(map(len, self._stored.values())) + ended.total(),
            consumed=ledger.consumed + ended[Outcome.CONSUMED],
            stale=ledger.stale + ended[Outcome.STALE],
            rejected=ledger.rejected + ended[Outcome.REJECTED],
            dropped=ledger.dropped + ended[Outcome.DROPPED],
            held=ledger.held,
        )

    def _add_stored(self, batch: QueuedBatch) -> None:
        self._stored.setdefault(batch.origin, {})[batch.header.seq] = None
