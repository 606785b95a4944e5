"""Pieces of several agents as RLlib's MultiAgentEpisodes, without copying an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
from ray.rllib.env.multi_agent_episode import MultiAgentEpisode
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer

from headrace.learner.episodes.segments import EpisodePiece
from headrace.learner.episodes.single_agent_episodes import EpisodeMaker
from headrace.protocol.trajectory import ENV_T, Chunk

ModuleOfAgent = Callable[[Any, MultiAgentEpisode], str]
"""RLlib's `agent_to_module_mapping_fn`."""


class MultiAgentEpisodeMaker:
    """Makes one MultiAgentEpisode of a piece; the arrays of its agents are views of the chunks'.

    What RLlib keeps for actions whose outcome is not known yet stays empty: an actor sends a step
    when its outcome is there.
    """

    def __init__(
        self,
        makers: Mapping[str, EpisodeMaker],
        observation_space: gym.spaces.Dict,
        action_space: gym.spaces.Dict,
        module_of: ModuleOfAgent,
    ) -> None:
        """Takes a maker for each module, and the spaces by agent."""
        self._makers = makers
        self._observation_space = observation_space
        self._action_space = action_space
        self._module_of = module_of

    def make(self, piece: EpisodePiece, number: int) -> MultiAgentEpisode:
        """Returns a piece as an episode; `number` is the policy version's."""
        name = _name_of(piece)
        started = min(chunk.env_t_started for chunk in piece.chunks)
        stopped = max(int(chunk.columns[ENV_T][-1]) for chunk in piece.chunks)
        episode = MultiAgentEpisode(
            name,
            observation_space=self._observation_space,
            action_space=self._action_space,
            env_t_started=started,
            agent_t_started={chunk.agent_id: chunk.t_started for chunk in piece.chunks},
            agent_module_ids={chunk.agent_id: chunk.module_id for chunk in piece.chunks},
            agent_to_module_mapping_fn=self._module_of,
        )
        episode.env_t = stopped
        for chunk in piece.chunks:
            episode.agent_episodes[chunk.agent_id] = self._agent_episode(chunk, number, name)
            steps = InfiniteLookbackBuffer(data=_agent_steps(chunk, started, stopped))
            episode.env_t_to_agent_t[chunk.agent_id] = steps
        ended = piece.ended
        if ended is not None:
            episode.is_terminated, episode.is_truncated = not ended.truncated, ended.truncated
            # RLlib has no public way to tell an episode how long it took.
            times: Any = episode
            times._start_time, times._last_step_time = 0.0, ended.episode_s
        return episode

    def _agent_episode(self, chunk: Chunk, number: int, name: str) -> SingleAgentEpisode:
        made: Any = self._makers[chunk.module_id].make(chunk, number, f"{name}-{chunk.agent_id}")
        made.agent_id, made.module_id = chunk.agent_id, chunk.module_id
        made.multi_agent_episode_id = name
        episode: SingleAgentEpisode = made
        return episode


def _name_of(piece: EpisodePiece) -> str:
    """Names a whole episode by its id, and every other piece for itself.

    RLlib's learner connectors collect rows by episode and agent, and take those of equal names for
    rows that follow one another in the batch.
    """
    ended = piece.ended
    if ended is not None and sum(c.length for c in piece.chunks) == sum(
        agent.steps for agent in ended.agents
    ):
        return piece.episode_id
    started = min(chunk.env_t_started for chunk in piece.chunks)
    return f"{piece.episode_id}-{piece.lease.seq}.{started}"


def _agent_steps(chunk: Chunk, started: int, stopped: int) -> list[int | str]:
    """Returns, by env step, the number of the agent's observation; a tag where it saw nothing."""
    steps: list[int | str] = [MultiAgentEpisode.SKIP_ENV_TS_TAG] * (stopped - started + 1)
    for t, env_t in enumerate(chunk.columns[ENV_T][chunk.lookback :].tolist(), chunk.t_started):
        steps[env_t - started] = t
    return steps
