"""Where the actions of a PolicyClient come from: this process, or a policy server."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from headrace.actors.client import Client
from headrace.actors.episode_agent import EpisodeAgent
from headrace.actors.episode_recorder import Ending, Episode
from headrace.protocol.errors import LocalProtocolError

Seen = Mapping[str, Any]
"""Observations by agent id."""


class Inference(abc.ABC):
    """Strategy of a PolicyClient. Episodes go by the names that the client gave them."""

    @abc.abstractmethod
    def is_multi_agent(self) -> bool:
        """Returns whether agents have names; waits for the learner.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: nobody will serve it.
        """

    @abc.abstractmethod
    def start(self, name: str, *, is_recorded: bool) -> None:
        """Begins an episode."""

    @abc.abstractmethod
    def act(self, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
        """Returns actions by episode and agent; raises as `is_multi_agent` does."""

    @abc.abstractmethod
    def reward(self, name: str, rewards: Mapping[str, float]) -> None:
        """Adds to what the last actions have brought.

        Raises:
            LocalProtocolError: an agent has not acted.
        """

    @abc.abstractmethod
    def leave(self, name: str, agent: str) -> None:
        """Lets a terminated agent leave."""

    @abc.abstractmethod
    def end(self, name: str, seen: Seen, ending: Ending) -> None:
        """Ends an episode; raises as `is_multi_agent` does."""

    @abc.abstractmethod
    def use_newest_weights(self) -> None:
        """Acts with the newest weights from now on."""

    @abc.abstractmethod
    def interrupt(self) -> None:
        """Ends whatever waits in another thread; only `close` may follow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Delivers what there is, and disconnects."""


class LocalInference(Inference):
    """Acts here, and delivers to the broker."""

    def __init__(self, client: Client, agent: EpisodeAgent) -> None:
        self._client = client
        self._agent = agent
        self._episodes: dict[str, Episode] = {}

    def is_multi_agent(self) -> bool:
        manifest = self._agent.manifest()
        if manifest is None:
            raise _closed()
        return manifest.multi_agent

    def start(self, name: str, *, is_recorded: bool) -> None:
        self._episodes[name] = self._agent.start(is_recorded=is_recorded)

    def act(self, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
        acted = self._agent.act({self._episodes[name]: agents for name, agents in seen.items()})
        if acted is None:
            raise _closed()
        return {name: acted[self._episodes[name]] for name in seen}

    def reward(self, name: str, rewards: Mapping[str, float]) -> None:
        self._agent.reward(self._episodes[name], rewards)

    def leave(self, name: str, agent: str) -> None:
        self._agent.end_agent(self._episodes[name], agent, None, Ending(True, False))

    def end(self, name: str, seen: Seen, ending: Ending) -> None:
        self._agent.end(self._episodes[name], seen, ending)
        del self._episodes[name]

    def use_newest_weights(self) -> None:
        self._agent.use_newest_weights()

    def interrupt(self) -> None:
        self._client.close()

    def close(self) -> None:
        if not self._client.is_closed:
            self._agent.deliver()
        self._client.close()


def _closed() -> LocalProtocolError:
    return LocalProtocolError("the client is closed")
