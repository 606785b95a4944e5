"""The open episodes of a simulator, and which agents are in each."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from headrace.actors.recording.infos import info_numbers, numbers_by_agent
from headrace.actors.recording.simulator_values import rewards_by_agent
from headrace.actors.recording.tracks import Episode, Track
from headrace.protocol.errors import LocalProtocolError

AgentId = str


class OpenEpisodes:
    """By episode, the tracks of the agents that have acted in it and not left.

    Attributes:
        infos_wanted: keys of the simulator's info dict that the learner asks for.
    """

    def __init__(self) -> None:
        self.infos_wanted: tuple[str, ...] = ()
        self._tracks: dict[Episode, dict[AgentId, Track]] = {}

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._tracks)

    def add(self, episode: Episode) -> None:
        """Opens an episode without agents."""
        self._tracks[episode] = {}

    def remove(self, episode: Episode) -> list[Track]:
        """Closes an episode, if it is open, and returns the tracks of its agents."""
        return list(self._tracks.pop(episode, {}).values())

    def clear(self) -> list[Track]:
        """Closes all episodes, and returns all tracks."""
        return [track for episode in list(self._tracks) for track in self.remove(episode)]

    def all_tracks(self) -> list[Track]:
        """Returns the tracks of all episodes."""
        return [track for tracks in self._tracks.values() for track in tracks.values()]

    def tracks_of(self, episode: Episode) -> dict[AgentId, Track]:
        """Returns the tracks of the agents that are in an episode; join one by adding it.

        Raises:
            LocalProtocolError: it has ended.
        """
        if episode not in self._tracks:
            raise LocalProtocolError("this episode has ended")
        return self._tracks[episode]

    def track(self, episode: Episode, agent: AgentId, module_of: Callable[[AgentId], str]) -> Track:
        """Returns an agent's track; the agent joins the episode if it is not in it yet.

        Raises:
            LocalProtocolError: the episode has ended.
        """
        tracks = self.tracks_of(episode)
        if agent not in tracks:
            tracks[agent] = Track(episode, agent, module_of(agent))
        return tracks[agent]

    def begin_again(self, episode: Episode, now_s: float) -> None:
        """Lets the same agents begin another episode, with their states."""
        former = self.tracks_of(episode)
        episode.begin_again(now_s)
        self._tracks[episode] = {
            agent: Track(episode, agent, track.module) for agent, track in former.items()
        }
        for agent, track in self._tracks[episode].items():
            track.state = former[agent].state

    def agents_of(self, episode: Episode) -> list[AgentId]:
        """Returns the agents that are in an episode."""
        return list(self.tracks_of(episode))

    def has_acted(self, episode: Episode, agent: AgentId) -> bool:
        """Returns whether an agent is in an episode."""
        return agent in self.tracks_of(episode)

    def reward(self, episode: Episode, rewards: Mapping[AgentId, float]) -> None:
        """Adds to the rewards of the agents' last actions.

        Raises:
            ConfigError: a reward is not a number.
            LocalProtocolError: an agent has not acted yet, or has left.
        """
        tracks = self.tracks_of(episode)
        checked = rewards_by_agent(rewards)
        require_agents("a reward", checked, tracks)
        for agent, reward in checked.items():
            tracks[agent].reward(reward)

    def inform(self, episode: Episode, infos: Mapping[AgentId, Mapping[str, Any]]) -> None:
        """Records those infos of the agents' last actions that the learner asks for.

        Raises:
            ConfigError: an info that the learner asks for is not a number.
            LocalProtocolError: an agent has not acted yet, or has left.
        """
        tracks = self.tracks_of(episode)
        checked = numbers_by_agent(self.infos_wanted, infos)
        require_agents("an info", checked, tracks)
        for agent, numbers in checked.items():
            tracks[agent].inform(numbers)

    def check_info(self, info: Mapping[str, Any]) -> None:
        """Raises the ConfigError that `inform` would raise, and records nothing."""
        info_numbers(self.infos_wanted, info)


def require_agents(what: str, named: Iterable[AgentId], acting: Container[AgentId]) -> None:
    """Raises LocalProtocolError if one of these agents has not acted yet, or has left."""
    for agent in named:
        if agent not in acting:
            raise LocalProtocolError(f"{what} for agent {agent!r} before its first action")
