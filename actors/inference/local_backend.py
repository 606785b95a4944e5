"""Actions from a policy in this process, which also delivers to the broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.connection.assignments import Reset
from headrace.actors.connection.client import Client
from headrace.actors.inference.backend import InferenceBackend, Seen
from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Episode
from headrace.protocol.errors import LocalProtocolError


class LocalBackend(InferenceBackend):
    """Acts in this process, and delivers to the broker."""

    def __init__(self, client: Client, agent: EpisodeAgent) -> None:
        self._client = client
        self._agent = agent
        self._episodes: dict[str, Episode] = {}
        self._assigned: dict[str, Reset] = {}

    def is_multi_agent(self) -> bool:
        manifest = self._agent.manifest()
        if manifest is None:
            raise _closed()
        return manifest.multi_agent

    def wait(self, timeout_s: float) -> bool:
        manifest = self._agent.manifest(timeout_s)
        if self._client.is_closed:
            raise _closed()
        return manifest is not None

    def start(self, name: str, *, is_recorded: bool) -> None:
        self._assigned[name] = self._agent.adopt_assignment()
        self._episodes[name] = self._agent.start(is_recorded=is_recorded)

    def assigned(self, name: str) -> Reset:
        episode, assigned = self._episodes[name], self._assigned[name]
        if not episode.env_t:
            episode.task = assigned.task
        return assigned

    def act(self, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
        acted = self._agent.act({self._episodes[name]: agents for name, agents in seen.items()})
        if acted is None:
            raise _closed()
        return {name: acted.get(self._episodes[name], {}) for name in seen}

    def note(self, name: str, seen: Seen, actions: Mapping[str, Any]) -> None:
        episode = self._episodes[name]
        given = {
            (episode, agent): self._agent.policies.given_action(agent, action)
            for agent, action in actions.items()
        }
        rows = {agent: self._agent.policies.rows_of(agent, seen[agent]) for agent in actions}
        if self._agent.act_upon({episode: rows}, None, given) is None:
            raise _closed()

    def reward(self, name: str, rewards: Mapping[str, float]) -> None:
        self._agent.episodes.reward(self._episodes[name], rewards)

    def inform(self, name: str, infos: Mapping[str, Mapping[str, Any]]) -> None:
        self._agent.episodes.inform(self._episodes[name], infos)

    def leave(self, name: str, agent: str) -> None:
        self._agent.end_agent(self._episodes[name], agent, None, Ending(True, False))

    def end(self, name: str, seen: Seen, ending: Ending) -> None:
        self._agent.end(self._episodes[name], seen, ending)
        del self._episodes[name], self._assigned[name]

    def use_newest_weights(self) -> None:
        self._agent.batches.use_newest_weights()

    def interrupt(self) -> None:
        self._client.close()

    def close(self) -> None:
        if not self._client.is_closed:
            self._agent.batches.deliver()
        self._client.close()


def _closed() -> LocalProtocolError:
    return LocalProtocolError("the client is closed")
