"""Evaluation through the broker: whole episodes that actors run greedily."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.link import BrokerLink
from headrace.learner.episodes.segments import EpisodeSegment, segments_of
from headrace.protocol.identity import Origin
from headrace.protocol.messages import FleetReport

OpenLink = Callable[[], BrokerLink]
Publish = Callable[[BrokerLink], None]


def whole_episodes(batches: Sequence[LeasedBatch]) -> list[LeasedBatch]:
    """Leaves out parts of episodes whose rest will not come: their actors have gone."""
    ends = {origin_of(batch): n for n, batch in enumerate(batches) if batch.lease.more is not True}
    return [b for n, b in enumerate(batches) if n <= ends.get(origin_of(b), -1)]


def origin_of(batch: LeasedBatch) -> Origin:
    """Returns the actor that recorded a batch, and its incarnation."""
    return batch.lease.actor, batch.lease.incarnation


class EvaluationSampler:
    """Asks for evaluation episodes in its own session, opened at the first call.

    Leases are confirmed in order: in a shared session, confirming an evaluation would also confirm
    training data that was leased earlier.
    """

    def __init__(self, open_link: OpenLink) -> None:
        self._open_link = open_link
        self._link: BrokerLink | None = None
        self._is_interrupted = False

    @property
    def report(self) -> FleetReport | None:
        """The newest report on the fleet, None before the first call."""
        return self._link.report if self._link is not None else None

    def sample(
        self, episodes: int | None, env_steps: int | None, publish: Publish
    ) -> list[EpisodeSegment]:
        """Returns this many whole episodes, and more until they have `env_steps`.

        With `env_steps`, no episode is longer than that: a simulator's may never end.

        Args:
            publish: offers the weights to evaluate.

        Raises:
            LearnerStopping: the run is stopping.
            RefusedError: the broker will not serve this learner.
        """
        link = self._connect()
        publish(link)
        evaluated: list[EpisodeSegment] = []
        finished, left = 0, episodes or 1
        while left > 0:
            for batch in whole_episodes(link.evaluate(left, env_steps)):
                evaluated += segments_of(batch.unpack(), batch.lease)
            finished += left
            sampled = sum(segment.env_steps for segment in evaluated)
            missing = (env_steps or 0) - sampled
            left = math.ceil(missing * finished / sampled)
        return evaluated

    def interrupt(self) -> None:
        """Makes this `sample` and all later ones raise LearnerStopping; from any thread."""
        self._is_interrupted = True
        if self._link is not None:
            self._link.interrupt()

    def close(self) -> None:
        """Says goodbye to the broker."""
        if self._link is not None:
            self._link.close()
        self._link = None

    def _connect(self) -> BrokerLink:
        if self._link is None:
            self._link = self._open_link()
            if self._is_interrupted:
                self._link.interrupt()
        return self._link
