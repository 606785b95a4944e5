"""The books of batches that are on the broker's disk, for which it answers instead of the actor."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.delivery import Outcome
from headrace.protocol.identity import Origin
from headrace.protocol.messages import Ledger


class StoredBatches:
    """A batch is pending from its arrival until the disk has it, then stored until it ends.

    Attributes:
        accepts: whether the disk takes more.
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
        """Whether the disk has everything."""
        return not self._pending

    def recovered_of(self, origin: Origin) -> list[int]:
        """Returns which of an incarnation's batches an earlier broker has stored."""
        return self._recovered.get(origin, [])

    def ended_up_to(self, origin: Origin, acknowledged: int) -> int:
        """Returns up to where all batches of an incarnation have ended, the stored ones too."""
        stored = self._stored.get(origin)
        return min(acknowledged, next(iter(stored)) - 1) if stored else acknowledged

    def add(self, batch: QueuedBatch) -> None:
        """Notes a batch that the disk is to take."""
        self._pending[batch.arrival] = batch

    def commit(self, up_to_arrival: int) -> list[QueuedBatch]:
        """Returns, once, the batches up to this arrival, which the disk has now."""
        committed: list[QueuedBatch] = []
        while self._pending and next(iter(self._pending)) <= up_to_arrival:
            _, batch = self._pending.popitem(last=False)
            self._add_stored(batch)
            committed.append(batch)
        return committed

    def end(self, batch: QueuedBatch, outcome: Outcome) -> None:
        """Notes the end of a batch."""
        if self._pending.pop(batch.arrival, None) is not None:
            return
        stored = self._stored.get(batch.origin, {})
        if batch.header.seq in stored:
            del stored[batch.header.seq]
            self._ended[outcome] += 1
            if not stored:
                del self._stored[batch.origin]

    def add_to(self, ledger: Ledger) -> Ledger:
        """Returns a ledger with what was stored; what waits is counted as held already."""
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
