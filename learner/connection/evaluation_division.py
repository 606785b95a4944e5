"""The division of an evaluation's episodes among brokers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.protocol.messages import Lease

NewTask = Callable[[], str]


@dataclass(frozen=True)
class EpisodeRequest:
    """Episodes asked of one broker, under a name that no other request has."""

    task: str
    episodes: int


class EvaluationDivision:
    """Asks for n episodes in all: each broker for as many as its share of the evaluating actors.

    Episodes of a broker that is gone, or whose evaluating actors are, are asked of the others.

    Attributes:
        requests: the open request of each broker, None if there is none.
        finished: whole episodes that have arrived.
    """

    def __init__(self, episodes: int, brokers: int, new_task: NewTask) -> None:
        self._left = episodes
        self._new_task = new_task
        self._arrived: dict[str, int] = {}
        self.requests: list[EpisodeRequest | None] = [None] * brokers
        self.finished = 0

    def note_arrived(self, lease: Lease) -> bool:
        """Counts a lease; returns whether it belongs to this evaluation."""
        if lease.task not in self._arrived:
            return False
        if lease.more is not True:
            self._arrived[lease.task] += 1
            self.finished += 1
        return True

    def divide(self, evaluators: Sequence[int | None]) -> None:
        """Asks brokers for the episodes that none was asked for.

        Args:
            evaluators: evaluating actors at each broker, None for a broker that is gone.
        """
        for broker, request in enumerate(self.requests):
            if request is not None and self._arrived[request.task] >= request.episodes:
                self.requests[broker] = None
        if len(evaluators) == 1:
            evaluators = [1]  # its broker keeps the request until an actor comes
        if not any(evaluators):
            return
        self._reclaim(evaluators)
        idle = [n for n, count in enumerate(evaluators) if count and self.requests[n] is None]
        actors = sum(evaluators[n] or 0 for n in idle)
        for broker in idle:
            count = evaluators[broker] or 0
            part = -(-self._left * count // actors)
            actors -= count
            if part:
                self._left -= part
                task = self._new_task()
                self.requests[broker] = EpisodeRequest(task, part)
                self._arrived[task] = 0

    def _reclaim(self, evaluators: Sequence[int | None]) -> None:
        for broker, request in enumerate(self.requests):
            if request is not None and not evaluators[broker]:
                self._left += request.episodes - self._arrived[request.task]
                self.requests[broker] = None
