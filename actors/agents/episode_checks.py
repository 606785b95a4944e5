"""Ends the recording of episodes in which a value is not finite."""

from __future__ import annotations

from headrace.actors.agents.episode_batches import EpisodeBatches
from headrace.actors.recording.non_finite import (
    NonFiniteValues,
    fault_of_leaves,
    fault_of_reward,
    with_zeros,
)
from headrace.actors.recording.open_episodes import AgentId, OpenEpisodes
from headrace.actors.recording.step_result import Columns
from headrace.actors.recording.tracks import Episode, Track
from headrace.protocol.trajectory import DEFAULT_AGENT


class EpisodeChecks:
    """Looks at observations and rewards before they are recorded."""

    def __init__(
        self, batches: EpisodeBatches, episodes: OpenEpisodes, values: NonFiniteValues
    ) -> None:
        self._batches = batches
        self._episodes = episodes
        self._values = values

    def finite(self, episode: Episode, agent: AgentId, rows: Columns) -> Columns:
        """Returns an observation, with zeros if it breaks its episode.

        Raises:
            ConfigError: an error was asked for.
        """
        fault = fault_of_leaves(rows)
        if fault is None:
            return rows
        self._break(episode, fault if agent == DEFAULT_AGENT else f"{fault} for agent {agent!r}")
        return with_zeros(rows)

    def check_reward(self, track: Track) -> None:
        """Breaks the episode if the reward of an agent's step in progress is not finite.

        Raises:
            ConfigError: an error was asked for.
        """
        step = track.in_progress
        if step is None:
            return
        agent = None if track.agent == DEFAULT_AGENT else track.agent
        fault = fault_of_reward(step.reward, agent)
        if fault is not None:
            self._break(track.episode, fault)
            step.reward = 0.0

    def _break(self, episode: Episode, fault: str) -> None:
        if episode.is_recorded:
            self._values.report(fault, episode.env_t)
            tracks = self._episodes.tracks_of(episode).values()
            self._batches.stop_recording(episode, tracks)
