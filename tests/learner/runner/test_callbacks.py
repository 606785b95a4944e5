"""RLlib's callbacks on episodes that came through the broker."""

from __future__ import annotations

from typing import Any

import pytest
from ray.rllib.callbacks.callbacks import RLlibCallback
from support.algorithms import algorithm_of, collecting, make_config
from support.running import BrokerThread, Context

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
