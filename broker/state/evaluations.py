"""Evaluation requests: which actor runs which episodes, and which session gets them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.protocol.identity import Origin
from headrace.protocol.messages import EvaluationRequest, EvaluationTask


@dataclass
class _Evaluation:
    """One request. Episodes are handed out one by one, and every one that was handed out counts.

    Taking the first n to finish would favour short ones.

    Attributes:
        assigned: episodes given to each actor in total. It never decreases: actors run the
            difference to the number that they have begun.
        settled: those of them that were delivered, or released for others to run.
    """

    session: int
    request: EvaluationRequest
    finished: int = 0
    assigned: Counter[Origin] = field(default_factory=Counter)
    settled: Counter[Origin] = field(default_factory=Counter)

    @property
    def open_episodes(self) -> int:
        """Episodes that no actor has been assigned yet."""
        running = self.assigned.total() - self.settled.total()
        return max(0, self.request.episodes - self.finished - running)

    def is_running(self, origin: Origin) -> bool:
        """Whether an actor has an episode to deliver."""
        return self.assigned[origin] > self.settled[origin]


class Evaluations:
    """The requests of all sessions; call `assign` after any other change."""

    def __init__(self) -> None:
        self._by_session: dict[int, _Evaluation] = {}

    def request(self, session: int, request: EvaluationRequest | None) -> None:
        """Sets or clears a session's request; a repeated request changes nothing."""
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
        """Assigns one episode to each idle actor while any are open; returns those actors."""
        chosen_actors: list[Origin] = []
        evaluations = list(self._by_session.values())
        for origin in actors:
            if any(evaluation.is_running(origin) for evaluation in evaluations):
                continue
            chosen = next((e for e in evaluations if e.open_episodes), None)
            if chosen is None:
                break
            chosen.assigned[origin] += 1
            chosen_actors.append(origin)
        return chosen_actors

    def task_of(self, origin: Origin) -> EvaluationTask | None:
        """Returns an actor's evaluation task; None if it has none."""
        for evaluation in self._by_session.values():
            if evaluation.is_running(origin):
                return EvaluationTask(
                    task=evaluation.request.task,
                    episodes=evaluation.assigned[origin],
                    min_version=evaluation.request.min_version,
                    max_env_steps=evaluation.request.max_env_steps,
                )
        return None

    def deliver(self, origin: Origin, task: str | None, *, is_whole: bool = True) -> int | None:
        """Takes an actor's batch; returns the session that wants it, if one does.

        Args:
            is_whole: whether its episode has ended with it, and counts.
        """
        for evaluation in self._by_session.values():
            if evaluation.request.task == task and evaluation.is_running(origin):
                evaluation.settled[origin] += is_whole
                evaluation.finished += is_whole
                return evaluation.session
        return None

    def leave(self, origin: Origin) -> None:
        """Releases the episode of an actor that ended or fell silent, for others to run."""
        for evaluation in self._by_session.values():
            evaluation.settled[origin] = evaluation.assigned[origin]
