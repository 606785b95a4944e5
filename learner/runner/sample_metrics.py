"""The metrics of `sample()` for RLlib: episodes, steps, and how they were sampled."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.utils.metrics import (
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_AGENT_STEPS,
    EPISODE_DURATION_SEC_MEAN,
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_MODULE_RETURN_MEAN,
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

from headrace.learner.episodes.segments import EpisodeSegment
from headrace.protocol.ended_episodes import AgentTotals
from headrace.protocol.messages import FleetReport, Ledger
from headrace.protocol.trajectory import DEFAULT_AGENT

PREFIX = "headrace"
_MAX_TASKS = 100
"""Limits the tasks with reported returns: actors name them, and RLlib's logger keeps all."""
_MAX_AGENTS = 100
"""Limits the agents with metrics of their own in the same way; the configured ones always have."""

# RLlib's single-agent and multi-agent runners name the same metrics differently.
_AGENT_RETURN = {False: "agent_episode_return_mean", True: EPISODE_AGENT_RETURN_MEAN}
_MODULE_RETURN = {False: "module_episode_return_mean", True: EPISODE_MODULE_RETURN_MEAN}


@dataclass(frozen=True)
class _Ended:
    """The totals of one episode that has ended."""

    length: int
    seconds: float
    agents: tuple[AgentTotals, ...]
    is_multi_agent: bool
    task: str | None

    @property
    def episode_return(self) -> float:
        """The return of all agents together."""
        return sum(agent.episode_return for agent in self.agents)

    @classmethod
    def with_(cls, segment: EpisodeSegment) -> _Ended | None:
        ended, lease = segment.ended, segment.lease
        task = lease.task if lease.purpose == "train" else None
        if ended is not None:
            length, seconds = ended.env_steps, ended.episode_s
            return cls(length, seconds, ended.agents, is_multi_agent=True, task=task)
        chunk = segment.chunks[0]
        if not chunk.is_done or chunk.agent_id != DEFAULT_AGENT:
            return None
        length = chunk.episode_length
        own = AgentTotals(chunk.agent_id, chunk.module_id, length, chunk.episode_return)
        return cls(length, chunk.episode_s, (own,), is_multi_agent=False, task=task)


class SampleMetrics:
    """Collects metrics in every `sample()`; `flush` logs them when RLlib asks for metrics.

    RLlib's logger takes longer to log an episode than it takes to make the episode.
    """

    def __init__(
        self, logger: MetricsLogger, config: AlgorithmConfig, modules_by_agent: Mapping[str, str]
    ) -> None:
        """Takes the agents that are known before any has acted, with their modules."""
        self._logger = logger
        runners = config.num_env_runners or 1
        self._window = max(1, math.ceil((config.metrics_num_episodes_for_smoothing or 1) / runners))
        self._env_steps = 0
        self._agent_steps = Counter(dict.fromkeys(modules_by_agent, 0))
        self._max_agents = max(_MAX_AGENTS, len(modules_by_agent))
        self._module_steps = Counter(dict.fromkeys(modules_by_agent.values(), 0))
        self._episodes = 0
        # RLlib's window holds no more episodes.
        self._ended: deque[_Ended] = deque(maxlen=self._window)
        self._returns_by_task: dict[str, list[float]] = {}
        self._wait_s = 0.0
        self._steps_by_lag: Counter[int] = Counter()

    def log_wait(self, wait_s: float) -> None:
        """Adds the time that `sample()` waited for data."""
        self._wait_s += wait_s

    def log_segment(self, segment: EpisodeSegment) -> None:
        """Adds a segment; one that ends its episode has the return and length of the whole."""
        env_steps = segment.env_steps
        self._env_steps += env_steps
        for chunk in segment.chunks:
            if self._has_metrics(chunk.agent_id):
                self._agent_steps[chunk.agent_id] += chunk.length
            self._module_steps[chunk.module_id] += chunk.length
        if segment.lease.policy_lag is not None:
            self._steps_by_lag[segment.lease.policy_lag] += env_steps
        ended = _Ended.with_(segment)
        if ended is not None:
            self._episodes += 1
            self._ended.append(ended)
            self._note_task(ended)

    def _has_metrics(self, agent: str) -> bool:
        return agent in self._agent_steps or len(self._agent_steps) < self._max_agents

    def flush(self, report: FleetReport | None) -> None:
        """Logs what was collected since the last call."""
        self._log_episodes()
        self._log_counts(self._env_steps)
        self._log_headrace(report)
        self._steps_by_lag.clear()
        self._env_steps = self._episodes = 0
        for steps in (self._agent_steps, self._module_steps):
            steps.update({name: -count for name, count in steps.items()})
        self._wait_s = 0.0

    def _log_episodes(self) -> None:
        log, window = self._logger.log_value, self._window
        for ended in self._ended:
            length = ended.length
            returned = ended.episode_return
            log(EPISODE_LEN_MEAN, length, window=window)
            log(EPISODE_RETURN_MEAN, returned, window=window)
            log(EPISODE_DURATION_SEC_MEAN, ended.seconds, window=window)
            log(EPISODE_LEN_MIN, length, reduce="min", window=window)
            log(EPISODE_RETURN_MIN, returned, reduce="min", window=window)
            log(EPISODE_LEN_MAX, length, reduce="max", window=window)
            log(EPISODE_RETURN_MAX, returned, reduce="max", window=window)
            self._log_agents(ended)
        self._ended.clear()
        for task, returns in self._returns_by_task.items():
            key = (PREFIX, "tasks", task)
            log((*key, NUM_EPISODES), len(returns), reduce="sum")
            for one in returns[-window:]:
                log((*key, EPISODE_RETURN_MEAN), one, window=window)
            returns.clear()

    def _note_task(self, ended: _Ended) -> None:
        tasks = self._returns_by_task
        if ended.task is None or (ended.task not in tasks and len(tasks) >= _MAX_TASKS):
            return
        tasks.setdefault(ended.task, []).append(ended.episode_return)

    def _log_agents(self, ended: _Ended) -> None:
        log, window = self._logger.log_value, self._window
        by_module: dict[str, float] = {}
        for agent in ended.agents:
            returned = agent.episode_return
            by_module[agent.module] = by_module.get(agent.module, 0.0) + returned
            if agent.agent not in self._agent_steps:
                continue
            log((_AGENT_RETURN[ended.is_multi_agent], agent.agent), returned, window=window)
            if ended.is_multi_agent:
                log((EPISODE_AGENT_STEPS, agent.agent), agent.steps, window=window)
        for module, returned in by_module.items():
            log((_MODULE_RETURN[ended.is_multi_agent], module), returned, window=window)

    def _log_counts(self, env_steps: int) -> None:
        log = self._logger.log_value
        log(NUM_ENV_STEPS_SAMPLED, env_steps, reduce="sum")
        log(NUM_EPISODES, self._episodes, reduce="sum")
        log(
            NUM_ENV_STEPS_SAMPLED_LIFETIME,
            env_steps,
            reduce="lifetime_sum",
            with_throughput=True,
        )
        for agent, steps in self._agent_steps.items():
            log((NUM_AGENT_STEPS_SAMPLED, agent), steps, reduce="sum")
            log((NUM_AGENT_STEPS_SAMPLED_LIFETIME, agent), steps, reduce="lifetime_sum")
        for module, steps in self._module_steps.items():
            log((NUM_MODULE_STEPS_SAMPLED, module), steps, reduce="sum")
            log((NUM_MODULE_STEPS_SAMPLED_LIFETIME, module), steps, reduce="lifetime_sum")
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
