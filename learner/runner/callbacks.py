"""Calls RLlib's callbacks for episodes that came through the broker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, cast

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils import force_list

from headrace.learner.episodes.segments import EpisodeSegment

_REMEMBERED_STEPS = 20_000
"""Most env steps of open episodes that are kept for `on_episode_end`, over all episodes."""


class SampleCallbacks:
    """Calls `on_episode_end` and `on_sample_end`.

    Callbacks for single steps are never called: simulators step elsewhere. Earlier chunks of an
    episode are kept only for an `on_episode_end` of the user's; of episodes that together have more
    than 20,000 steps, the oldest chunks are dropped.
    """

    def __init__(self, config: AlgorithmConfig) -> None:
        classes: list[Any] = list(force_list(config.callbacks_class))
        self._objects: list[RLlibCallback] = [
            made() for made in classes if made is not RLlibCallback
        ]
        self._on_episode_end: list[Any] = list(force_list(config.callbacks_on_episode_end))
        self._on_sample_end: list[Any] = list(force_list(config.callbacks_on_sample_end))
        self._sees_ends = bool(self._on_episode_end) or any(
            type(made).on_episode_end is not RLlibCallback.on_episode_end for made in self._objects
        )
        self._open: OrderedDict[str, list[Any]] = OrderedDict()
        self._steps = 0

    def sampled(
        self, runner: EnvRunner, segments: Sequence[EpisodeSegment], episodes: list[Any]
    ) -> None:
        """Calls the configured callbacks for the episodes that one `sample()` returns."""
        if self._sees_ends:
            for segment, episode in zip(segments, episodes, strict=True):
                self._take(runner, segment.episode_id, episode)
        if self._objects or self._on_sample_end:
            self._call("on_sample_end", self._on_sample_end, runner, samples=episodes)

    def _take(self, runner: EnvRunner, episode_id: str, episode: Any) -> None:
        earlier = self._open.pop(episode_id, [])
        if episode.is_done:
            self._steps -= sum(map(len, earlier))
            self._call(
                "on_episode_end",
                self._on_episode_end,
                runner,
                episode=episode,
                prev_episode_chunks=earlier,
                env=None,
                env_index=0,
                rl_module=cast("Any", runner).module,
            )
            return
        # A copy, since RLlib's learner connectors extend the episode itself by a step.
        earlier.append(episode.slice(slice(0, len(episode))))
        self._open[episode_id] = earlier
        self._steps += len(episode)
        while self._steps > _REMEMBERED_STEPS:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Drops a chunk of the episode that has been silent for longest."""
        episode_id, chunks = next(iter(self._open.items()))
        self._steps -= len(chunks.pop(0))
        if not chunks:
            del self._open[episode_id]

    def _call(self, name: str, functions: list[Any], runner: EnvRunner, **arguments: Any) -> None:
        arguments |= {"env_runner": runner, "metrics_logger": runner.metrics}
        make_callback(name, self._objects, functions, kwargs=arguments)
