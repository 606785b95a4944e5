"""What `sample()` tells RLlib of episodes and steps, and of how they came."""

from __future__ import annotations

import math
from collections import Counter, deque

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_AGENT_ID, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import (
    EPISODE_DURATION_SEC_MEAN,
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_RETURN_MAX,
    EPISODE_RETURN_MEAN,
    EPISODE_RETURN_MIN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from headrace.protocol.messages import FleetReport, Lease, Ledger
from headrace.protocol.trajectory import Chunk

PREFIX = "headrace"


class SampleMetrics:
    """Collects what every `sample()` brings; `flush` logs it when RLlib asks for metrics.

    RLlib's logger takes longer for an episode's numbers than it takes to make the episode.
    """

    def __init__(self, logger: MetricsLogger, config: AlgorithmConfig) -> None:
        self._logger = logger
        runners = config.num_env_runners or 1
        self._window = max(1, math.ceil((config.metrics_num_episodes_for_smoothing or 1) / runners))
        self._env_steps = 0
        self._episodes = 0
        # RLlib's window holds no more of them.
        self._ended: deque[tuple[float, int, float]] = deque(maxlen=self._window)
        self._wait_s = 0.0
        self._steps_by_lag: Counter[int] = Counter()

    def log_wait(self, wait_s: float) -> None:
        """Notes how long `sample()` waited for data."""
        self._wait_s += wait_s

    def log_chunk(self, chunk: Chunk, lease: Lease) -> None:
        """Notes a chunk; one that ends its episode tells return and length of the whole."""
        self._env_steps += chunk.length
        if lease.policy_lag is not None:
            self._steps_by_lag[lease.policy_lag] += chunk.length
        if not chunk.is_done:
            return
        self._episodes += 1
        self._ended.append((chunk.episode_return, chunk.episode_length, chunk.episode_s))

    def flush(self, report: FleetReport | None) -> None:
        """Logs what came since the last call."""
        self._log_episodes()
        self._log_counts(self._env_steps)
        self._log_headrace(report)
        self._steps_by_lag.clear()
        self._env_steps = self._episodes = 0
        self._wait_s = 0.0

    def _log_episodes(self) -> None:
        log, window = self._logger.log_value, self._window
        for returned, length, seconds in self._ended:
            log(EPISODE_LEN_MEAN, length, window=window)
            log(EPISODE_RETURN_MEAN, returned, window=window)
            log(EPISODE_DURATION_SEC_MEAN, seconds, window=window)
            log(("agent_episode_return_mean", DEFAULT_AGENT_ID), returned, window=window)
            log(("module_episode_return_mean", DEFAULT_MODULE_ID), returned, window=window)
            log(EPISODE_LEN_MIN, length, reduce="min", window=window)
            log(EPISODE_RETURN_MIN, returned, reduce="min", window=window)
            log(EPISODE_LEN_MAX, length, reduce="max", window=window)
            log(EPISODE_RETURN_MAX, returned, reduce="max", window=window)
        self._ended.clear()

    def _log_counts(self, env_steps: int) -> None:
        log = self._logger.log_value
        log(NUM_ENV_STEPS_SAMPLED, env_steps, reduce="sum")
        log((NUM_AGENT_STEPS_SAMPLED, DEFAULT_AGENT_ID), env_steps, reduce="sum")
        log((NUM_MODULE_STEPS_SAMPLED, DEFAULT_MODULE_ID), env_steps, reduce="sum")
        log(NUM_EPISODES, self._episodes, reduce="sum")
        log(
            NUM_ENV_STEPS_SAMPLED_LIFETIME,
            env_steps,
            reduce="lifetime_sum",
            with_throughput=True,
        )
        for name, key in (
            (NUM_AGENT_STEPS_SAMPLED_LIFETIME, DEFAULT_AGENT_ID),
            (NUM_MODULE_STEPS_SAMPLED_LIFETIME, DEFAULT_MODULE_ID),
        ):
            log((name, key), env_steps, reduce="lifetime_sum")
        log(NUM_EPISODES_LIFETIME, self._episodes, reduce="lifetime_sum")

    def _log_headrace(self, report: FleetReport | None) -> None:
        log = self._logger.log_value
        log((PREFIX, "wait_s"), self._wait_s, reduce="sum")
        steps = self._steps_by_lag.total()
        for lag, count in self._steps_by_lag.items():
            log((PREFIX, "env_steps_by_lag", str(lag)), count, reduce="lifetime_sum")
        if steps:
            mean = sum(lag * count for lag, count in self._steps_by_lag.items()) / steps
            log((PREFIX, "policy_lag_mean"), mean, window=1)
            log((PREFIX, "policy_lag_max"), max(self._steps_by_lag), window=1)
        if report is None:
            return
        log((PREFIX, "queue_env_steps"), report.queue_env_steps, window=1)
        log((PREFIX, "actors"), report.actors, window=1)
        for name in Ledger.__struct_fields__:
            log((PREFIX, "batches", name), getattr(report.ledger, name), window=1)
