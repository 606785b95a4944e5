"""One evaluation with the actors of all brokers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.learner.connection.evaluation_division import EvaluationDivision, NewTask
from headrace.learner.connection.known_broker import KnownBroker
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.session import LearnerSession
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import EvaluationRequest

_ANY_VERSION = PolicyVersion(0, 0)


class SharedEvaluation:
    """Asks for whole episodes, of all brokers together; call `divide` after each change.

    Attributes:
        batches: what has arrived.
    """

    def __init__(
        self, episodes: int, max_env_steps: int | None, brokers: int, new_task: NewTask
    ) -> None:
        self._division = EvaluationDivision(episodes, brokers, new_task)
        self._max_env_steps = max_env_steps
        self.batches: list[LeasedBatch] = []

    @property
    def finished_episodes(self) -> int:
        """How many episodes have arrived as a whole."""
        return self._division.finished

    def divide(self, brokers: Sequence[KnownBroker]) -> None:
        """Asks brokers for the episodes that none was asked for yet, or that one cannot deliver."""
        self._division.divide([broker.evaluators for broker in brokers])
        for broker, request in zip(brokers, self._division.requests, strict=True):
            session = broker.session
            present = session.evaluation.task if session.evaluation is not None else None
            if request is None and present is not None:
                session.evaluate(None)
            elif request is not None and request.task != present:
                session.evaluate(self._request(session, request.task, request.episodes))

    def take(self, batch: LeasedBatch) -> None:
        """Keeps an episode, or a part of one, that was asked for."""
        if self._division.note_arrived(batch.lease):
            self.batches.append(batch)

    def _request(self, session: LearnerSession, task: str, episodes: int) -> EvaluationRequest:
        return EvaluationRequest(
            task,
            episodes,
            session.settled or _ANY_VERSION,
            self._max_env_steps or msgspec.UNSET,
        )
