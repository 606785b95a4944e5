"""Segments of several agents as RLlib's MultiAgentEpisodes, without copying an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from headrace.learner.episodes.segments import EpisodeSegment
from headrace.learner.episodes.single_agent_episodes import EpisodeMaker
from headrace.protocol.trajectory import ENV_T, Chunk

ModuleOfAgent = Callable[[Any, MultiAgentEpisode], str]
"""RLlib's `agent_to_module_mapping_fn`."""


class MultiAgentEpisodeMaker:
    """Makes one MultiAgentEpisode of a segment; its agents' arrays are views of the chunks'.

    RLlib's buffers for actions without an outcome stay empty: actors send only completed steps.
    """

    def __init__(
        self,
        makers: Mapping[str, EpisodeMaker],
        observation_space: gym.spaces.Dict,
        action_space: gym.spaces.Dict,
        module_of: ModuleOfAgent,
    ) -> None:
        """Takes one maker per module, and the spaces by agent id, which need not be text."""
        self._makers = makers
        self._agents: dict[str, Any] = {str(agent): agent for agent in observation_space}
        self._observation_space = observation_space
        self._action_space = action_space
        self._module_of = module_of

    def make(self, segment: EpisodeSegment, number: int) -> MultiAgentEpisode:
        """Returns a segment as an episode; `number` is that of the policy version."""
        name = _name_of(segment)
        started = min(chunk.env_t_started for chunk in segment.chunks)
        stopped = max(int(chunk.columns[ENV_T][-1]) for chunk in segment.chunks)
        episode = MultiAgentEpisode(
            name,
            observation_space=self._observation_space,
            action_space=self._action_space,
            env_t_started=started,
            agent_t_started={self._agent_of(chunk): chunk.t_started for chunk in segment.chunks},
            agent_module_ids={self._agent_of(chunk): chunk.module_id for chunk in segment.chunks},
            agent_to_module_mapping_fn=self._module_of,
        )
        episode.env_t = stopped
        for chunk in segment.chunks:
            agent = self._agent_of(chunk)
            episode.agent_episodes[agent] = self._agent_episode(chunk, number, name)
            steps = InfiniteLookbackBuffer(data=_agent_steps(chunk, started, stopped))
            episode.env_t_to_agent_t[agent] = steps
        ended = segment.ended
        if ended is not None:
            episode.is_terminated, episode.is_truncated = not ended.truncated, ended.truncated
            # RLlib has no public API to set an episode's duration.
            times: Any = episode
            times._start_time, times._last_step_time = 0.0, ended.episode_s
        return episode

    def _agent_episode(self, chunk: Chunk, number: int, name: str) -> SingleAgentEpisode:
        made: Any = self._makers[chunk.module_id].make(chunk, number, f"{name}-{chunk.agent_id}")
        made.agent_id, made.module_id = self._agent_of(chunk), chunk.module_id
        made.multi_agent_episode_id = name
        episode: SingleAgentEpisode = made
        return episode

    def _agent_of(self, chunk: Chunk) -> Any:
        """Returns an agent's id as RLlib knows it."""
        return self._agents.get(chunk.agent_id, chunk.agent_id)


def _name_of(segment: EpisodeSegment) -> str:
    """Returns the episode id for a whole episode, and a unique name for any other segment.

    RLlib's learner connectors collect rows by episode and agent, and assume that rows of equal
    names follow one another in the batch.
    """
    ended = segment.ended
    if ended is not None and sum(c.length for c in segment.chunks) == sum(
        agent.steps for agent in ended.agents
    ):
        return segment.episode_id
    started = min(chunk.env_t_started for chunk in segment.chunks)
    return f"{segment.episode_id}-{segment.lease.seq}.{started}"


def _agent_steps(chunk: Chunk, started: int, stopped: int) -> list[int | str]:
    """Returns, by env step, the index of the agent's observation; a tag where it has none."""
    steps: list[int | str] = [MultiAgentEpisode.SKIP_ENV_TS_TAG] * (stopped - started + 1)
    for t, env_t in enumerate(chunk.columns[ENV_T][chunk.lookback :].tolist(), chunk.t_started):
        steps[env_t - started] = t
    return steps
