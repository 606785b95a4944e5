"""Which actor runs which evaluation episodes, and who gets them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.protocol.identity import Origin
from headrace.protocol.messages import EvaluationRequest, EvaluationTask


@dataclass
class _Evaluation:
    """One request. Episodes are given out one by one, and all that were given out count.

    Taking the first n that end would prefer short ones.
    """

    session: int
    request: EvaluationRequest
    finished: int = 0
    assigned: Counter[Origin] = field(default_factory=Counter)
    delivered: Counter[Origin] = field(default_factory=Counter)

    @property
    def open_episodes(self) -> int:
        """Episodes that no actor has been given yet."""
        running = self.assigned.total() - self.delivered.total()
        return max(0, self.request.episodes - self.finished - running)

    def is_running(self, origin: Origin) -> bool:
        """Whether an actor has an episode to deliver."""
        return self.assigned[origin] > self.delivered[origin]


class Evaluations:
    """The requests of all sessions; call `assign` after anything else has changed."""

    def __init__(self) -> None:
        self._by_session: dict[int, _Evaluation] = {}

    def request(self, session: int, request: EvaluationRequest | None) -> None:
        """Notes what a session wants; a repeated request changes nothing."""
        known = self._by_session.get(session)
        if request is None:
            self._by_session.pop(session, None)
        elif known is None or known.request != request:
            self._by_session[session] = _Evaluation(session, request)

    @property
    def has_open(self) -> bool:
        """Whether an idle actor could be given an episode."""
        return any(evaluation.open_episodes for evaluation in self._by_session.values())

    def assign(self, actors: Iterable[Origin]) -> list[Origin]:
        """Gives one episode to each idle actor while some are open; returns those actors."""
        told: list[Origin] = []
        evaluations = list(self._by_session.values())
        for origin in actors:
            if any(evaluation.is_running(origin) for evaluation in evaluations):
                continue
            chosen = next((e for e in evaluations if e.open_episodes), None)
            if chosen is None:
                break
            chosen.assigned[origin] += 1
            told.append(origin)
        return told

    def task_of(self, origin: Origin) -> EvaluationTask | None:
        """Returns what an actor is to run, None if nothing."""
        for evaluation in self._by_session.values():
            if evaluation.is_running(origin):
                return EvaluationTask(
                    task=evaluation.request.task,
                    episodes=evaluation.assigned[origin],
                    min_version=evaluation.request.min_version,
                )
        return None

    def deliver(self, origin: Origin, task: str | None) -> int | None:
        """Counts an episode of an actor; returns the session that wants it, if one does."""
        for evaluation in self._by_session.values():
            if evaluation.request.task == task and evaluation.is_running(origin):
                evaluation.delivered[origin] += 1
                evaluation.finished += 1
                return evaluation.session
        return None

    def leave(self, origin: Origin) -> None:
        """Gives the episode of an actor that ended or fell silent to others."""
        for evaluation in self._by_session.values():
            evaluation.assigned[origin] = evaluation.delivered[origin]
