"""Reads a broker's status from other threads without holding up its loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

import msgspec

from headrace.broker.routing.actor_status import ActorSnapshot, ActorStatus, actor_status
from headrace.broker.routing.router import Router
from headrace.broker.routing.status import BrokerStatus

_SLICE = 256
"""Actors that the loop copies at once, in about a millisecond."""
_KEPT_S = 1.0
_TIMEOUT_S = 2.0

MOST_LISTED = 1000
"""Actors in one answer."""

Clock = Callable[[], float]
Answer = TypeVar("Answer")


class Loop(Protocol):
    """The part of `BrokerService` that answers."""

    def ask(self, question: Callable[[Router, float], Answer]) -> Future[Answer]:
        """Answers, at the end of a round, with what `question` returns for router and time."""
        ...


class StatusReader:
    """For the threads of an HTTP server.

    The list of all actors is made at most once a second, however many ask for it.
    """

    def __init__(self, loop: Loop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._lock = threading.Lock()
        self._actors: list[ActorStatus] = []
        self._listed_at_s = float("-inf")

    def summary(self) -> BrokerStatus:
        """Returns the status without actors.

        Raises:
            TimeoutError: the loop does not answer in time; the broker is unhealthy.
        """
        return self._loop.ask(Router.status).result(_TIMEOUT_S)

    def page(self, after: str = "", limit: int = MOST_LISTED) -> BrokerStatus:
        """Returns the status with up to `limit` actors whose ids come after `after`.

        Raises:
            TimeoutError: the loop does not answer in time; the broker is unhealthy.
        """
        summary = self.summary()
        if limit <= 0:
            return summary
        following = [actor for actor in self._list() if actor.actor > after]
        page = following[:limit]
        more_after = page[-1].actor if len(following) > len(page) else None
        return msgspec.structs.replace(summary, actors=page, more_after=more_after)

    def _list(self) -> list[ActorStatus]:
        with self._lock:
            if self._clock() - self._listed_at_s >= _KEPT_S:
                self._actors = sorted(map(actor_status, self._copy()), key=lambda one: one.actor)
                self._listed_at_s = self._clock()
            return self._actors

    def _copy(self) -> list[ActorSnapshot]:
        actors = self._loop.ask(lambda router, _: router.actors).result(_TIMEOUT_S)
        parts = [actors[start : start + _SLICE] for start in range(0, len(actors), _SLICE)]
        copies = [self._loop.ask(_copy_of(part)) for part in parts]
        return [copy for part in copies for copy in part.result(_TIMEOUT_S)]


def _copy_of(actors: Sequence[str]) -> Callable[[Router, float], list[ActorSnapshot]]:
    return lambda router, now_s: router.snapshots_of(actors, now_s)
