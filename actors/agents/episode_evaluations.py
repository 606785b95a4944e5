"""The open episodes that are evaluations, each with its recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.recording.batch_lifecycle import BatchLifecycle, UsePolicy
from headrace.actors.recording.episode_recorder import EpisodeRecorder
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.recording.tracks import Episode
from headrace.protocol.manifest import Manifest

Clock = Callable[[], float]


@dataclass(frozen=True)
class _Evaluated:
    evaluation: Evaluation
    recorder: EpisodeRecorder


class EpisodeEvaluations:
    """The evaluation episodes of an actor, each its own batch."""

    def __init__(self, client: BrokerClient, batches: BatchLifecycle, clock: Clock) -> None:
        self._client = client
        self._batches = batches
        self._clock = clock
        self._evaluated: dict[Episode, _Evaluated] = {}
        client.offer_evaluation()

    def __contains__(self, episode: object) -> bool:
        return episode in self._evaluated

    @property
    def are_open(self) -> bool:
        """Whether an evaluation is in progress, or another one is wanted."""
        return bool(self._evaluated) or self._client.evaluation_is_wanted

    def begin(
        self, starting: Iterable[Episode], use: UsePolicy, manifest: Callable[[], Manifest]
    ) -> None:
        """Turns episodes that begin now into evaluations, as many as are wanted.

        Args:
            use: switches to the evaluation's policy.
            manifest: returns the manifest of that policy.
        """
        for episode in starting:
            if not self._client.evaluation_is_wanted:
                return
            evaluation = Evaluation.begin(self._client, self._batches, use)
            if evaluation is None:
                return
            recorder = EpisodeRecorder(self._clock)
            recorder.adopt(manifest())
            self._evaluated[episode] = _Evaluated(evaluation, recorder)

    def recorder_of(self, episode: Episode) -> EpisodeRecorder | None:
        """Returns the recorder of an evaluation, None for any other episode."""
        evaluated = self._evaluated.get(episode)
        return evaluated.recorder if evaluated is not None else None

    def complete(self) -> list[Episode]:
        """Returns the episodes that are truncated now, since they have the env steps asked for."""
        return [
            episode
            for episode, evaluated in self._evaluated.items()
            if evaluated.evaluation.is_complete(episode.env_t)
        ]

    @property
    def is_any_part_full(self) -> bool:
        """Whether a part of any evaluation has to be delivered now."""
        return any(
            e.evaluation.is_part_full(e.recorder.env_steps) for e in self._evaluated.values()
        )

    def deliver_parts(self) -> None:
        """Pushes what was recorded of evaluations that are larger than a payload."""
        for evaluated in self._evaluated.values():
            if evaluated.evaluation.is_part_full(evaluated.recorder.env_steps):
                evaluated.evaluation.deliver(evaluated.recorder, more=True)

    def deliver(self, episode: Episode) -> None:
        """Pushes an episode that has ended for all of its agents.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        evaluated = self._evaluated.pop(episode)
        if evaluated.recorder.env_steps:
            evaluated.evaluation.deliver(evaluated.recorder)
        else:
            evaluated.evaluation.give_back()

    def give_back(self, episode: Episode) -> None:
        """Gives an episode back, if it is an evaluation, and stops recording it."""
        evaluated = self._evaluated.pop(episode, None)
        if evaluated is not None:
            episode.is_recorded = False
            evaluated.evaluation.give_back()

    def give_back_all(self) -> None:
        """Gives back all evaluations."""
        for episode in list(self._evaluated):
            self.give_back(episode)
