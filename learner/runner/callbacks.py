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

_REMEMBERED_EPISODES = 20_000


class SampleCallbacks:
    """Calls `on_episode_end` and `on_sample_end`.

    Callbacks for single steps are never called: simulators step elsewhere.
    """

    def __init__(self, config: AlgorithmConfig) -> None:
        classes: list[Any] = list(force_list(config.callbacks_class))
        self._objects: list[RLlibCallback] = [
            made() for made in classes if made is not RLlibCallback
        ]
        self._on_episode_end: list[Any] = list(force_list(config.callbacks_on_episode_end))
        self._on_sample_end: list[Any] = list(force_list(config.callbacks_on_sample_end))
        self._open: OrderedDict[str, list[Any]] = OrderedDict()

    def sampled(
        self, runner: EnvRunner, segments: Sequence[EpisodeSegment], episodes: list[Any]
    ) -> None:
        """Calls the configured callbacks for the episodes that one `sample()` returns."""
        if self._objects or self._on_episode_end:
            for segment, episode in zip(segments, episodes, strict=True):
                self._take(runner, segment.episode_id, episode)
        if self._objects or self._on_sample_end:
            self._call("on_sample_end", self._on_sample_end, runner, samples=episodes)

    def _take(self, runner: EnvRunner, episode_id: str, episode: Any) -> None:
        earlier = self._open.pop(episode_id, [])
        if episode.is_done:
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
        self._open[episode_id] = [*earlier, episode.slice(slice(0, len(episode)))]
        if len(self._open) > _REMEMBERED_EPISODES:
            self._open.popitem(last=False)

    def _call(self, name: str, functions: list[Any], runner: EnvRunner, **arguments: Any) -> None:
        arguments |= {"env_runner": runner, "metrics_logger": runner.metrics}
        make_callback(name, self._objects, functions, kwargs=arguments)
