"""RLlib's callbacks on episodes that came through the broker."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from support.algorithms import algorithm_of, collecting, make_config
from support.running import BrokerThread, Context

from headrace.learner.runner.callbacks import SampleCallbacks

pytestmark = pytest.mark.usefixtures("ray_session")


class Counting(RLlibCallback):
    """Logs whether episodes are whole, and the steps of each `sample()`."""

    def on_episode_end(
        self,
        *,
        episode: Any,
        prev_episode_chunks: Any = None,
        metrics_logger: Any = None,
        **_: Any,
    ) -> None:
        chunks = [*prev_episode_chunks, episode]
        known = episode.t - chunks[0].t_started  # its first chunks may have been stale
        is_whole = sum(len(chunk) for chunk in chunks) == known
        metrics_logger.log_value("is_whole", float(is_whole), reduce="min")

    def on_sample_end(self, *, samples: Any, metrics_logger: Any = None, **_: Any) -> None:
        steps = sum(len(episode) for episode in samples)
        metrics_logger.log_value("steps_of_samples", steps, reduce="lifetime_sum")


def test_a_class_is_called_with_whole_episodes_and_with_samples(
    broker: BrokerThread, context: Context
) -> None:
    config = make_config(broker).callbacks(Counting)
    with algorithm_of(config) as algorithm, collecting(broker, context):
        results = [algorithm.train()["env_runners"] for _ in range(3)]
    sampled = results[-1]["num_env_steps_sampled_lifetime"]
    assert results[-1]["steps_of_samples"] == sampled >= 1200
    assert results[-1]["is_whole"] == 1.0


def test_functions_are_called_too(broker: BrokerThread, context: Context) -> None:
    ended: list[int] = []
    sampled: list[int] = []
    config = make_config(broker).callbacks(
        on_episode_end=lambda episode, **_: ended.append(episode.t),
        on_sample_end=lambda samples, **_: sampled.append(len(samples)),
    )
    with algorithm_of(config) as algorithm, collecting(broker, context):
        result = algorithm.train()["env_runners"]
    assert len(ended) == result["num_episodes"] > 0
    assert sum(sampled) >= len(ended)


CHUNK_STEPS = 1000
RUNNER: Any = SimpleNamespace(metrics=None, module=None)


def chunks_of_one_episode(count: int) -> Iterator[SingleAgentEpisode]:
    """Yields `count` chunks of an episode that ends with the last one."""
    for index in range(count):
        observations = np.zeros((CHUNK_STEPS + 1, 4), np.float32)
        rewards: Any = [1.0] * CHUNK_STEPS
        yield SingleAgentEpisode(
            id_="long",
            observations=list(observations),
            actions=[0] * CHUNK_STEPS,
            rewards=rewards,
            terminated=index == count - 1,
            t_started=index * CHUNK_STEPS,
            len_lookback_buffer=0,
        ).to_numpy()


def sample_each(callbacks: SampleCallbacks, chunks: Iterable[SingleAgentEpisode]) -> None:
    for chunk in chunks:
        segment: Any = SimpleNamespace(episode_id=chunk.id_)
        callbacks.sampled(RUNNER, [segment], [chunk])


def test_the_newest_chunks_of_a_long_episode_are_kept_for_its_end() -> None:
    seen: list[Any] = []
    config = PPOConfig().callbacks(
        on_episode_end=lambda prev_episode_chunks, **_: seen.extend(prev_episode_chunks)
    )
    sample_each(SampleCallbacks(config), chunks_of_one_episode(50))
    assert sum(map(len, seen)) == 20_000
    assert [chunk.t_started for chunk in seen] == list(range(29_000, 49_000, CHUNK_STEPS))


def count_of_episodes() -> int:
    gc.collect()
    return sum(type(found) is SingleAgentEpisode for found in gc.get_objects())


class SeesSamples(RLlibCallback):
    """Overrides no method that needs earlier chunks."""

    def on_sample_end(self, *, samples: Any, **_: Any) -> None:
        assert samples


def test_no_chunk_is_kept_for_a_class_that_does_not_see_the_ends() -> None:
    callbacks = SampleCallbacks(PPOConfig().callbacks(SeesSamples))
    before = count_of_episodes()
    sample_each(callbacks, islice(chunks_of_one_episode(4), 3))
    assert count_of_episodes() == before
