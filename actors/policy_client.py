"""The verbs of RLlib's PolicyClient, for simulators that own their loop."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from headrace.actors.client import Client
from headrace.actors.episode_agent import EpisodeAgent, ModuleOf
from headrace.actors.episode_recorder import Ending, Episode
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.invitation import Invitation
from headrace.protocol.trajectory import DEFAULT_AGENT

_TURN_S = 1.0
WithoutCredit = Literal["wait", "act"]


class PolicyClient:
    """Acts for the episodes of a simulator with the learner's policy, and delivers what came of it.

    Where the learner's run has several agents, observations, actions and rewards are dicts by agent
    id. Several episodes may be open at once, also in several threads; calls wait for one another.

    The verbs are those of `ray.rllib.env.policy_client.PolicyClient` of RLlib's old API stack;
    docs/policy-client.md tells the differences.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        actor: str | None = None,
        invitation: Invitation | None = None,
        without_credit: WithoutCredit = "wait",
        policy_mapping_fn: ModuleOf | None = None,
        seed: int | None = None,
    ) -> None:
        """Connects; the broker need not be there yet.

        Args:
            without_credit: what `get_action` does while the learner wants no data: wait, or act
                without recording, for simulators that cannot wait.
            policy_mapping_fn: the module that acts for an agent id, where the run has several.

        Raises:
            ConfigError: the address, the actor id or the invitation cannot be used.
        """
        self._client = Client(address, actor=actor, invitation=invitation)
        self._agent = EpisodeAgent(
            self._client,
            waits=without_credit == "wait",
            module_of=policy_mapping_fn,
            seed=seed,
        )
        self._episodes: dict[str, Episode] = {}
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def actor(self) -> str:
        """The actor id."""
        return self._client.actor

    def start_episode(self, episode_id: str | None = None, training_enabled: bool = True) -> str:
        """Begins an episode, and returns its id.

        Args:
            episode_id: any text that no open episode has; without it, a random one.
            training_enabled: whether the learner may have what comes of it.

        Raises:
            LocalProtocolError: there is such an episode already.
        """
        name = episode_id or secrets.token_hex(16)
        with self._turn:
            if name in self._episodes:
                raise LocalProtocolError(f"episode {name!r} has begun already")
            self._episodes[name] = self._agent.start(is_recorded=training_enabled)
        return name

    def get_action(self, episode_id: str | Sequence[str], observation: Any) -> Any:
        """Returns the policy's action for an observation.

        Several episodes at once are faster: with a list of ids, observations and actions are dicts
        by episode id.

        Raises:
            ConfigError: the observation does not fit the learner's policy.
            LocalProtocolError: there is no such episode, or the client was closed.
            RefusedError: the broker will not serve this actor.
        """
        is_one = isinstance(episode_id, str)
        names = [episode_id] if isinstance(episode_id, str) else list(episode_id)
        with self._turn:
            is_multi_agent = self._is_multi_agent()
            episodes = {name: self._episode(name) for name in names}
            asked = {
                episode: _by_agent(
                    observation if is_one else observation[name], is_multi_agent=is_multi_agent
                )
                for name, episode in episodes.items()
            }
            acted = self._agent.act(asked)
            if acted is None:
                raise LocalProtocolError("the client is closed")
        actions = {
            name: acted[episode] if is_multi_agent else acted[episode][DEFAULT_AGENT]
            for name, episode in episodes.items()
        }
        return actions[names[0]] if is_one else actions

    def log_returns(
        self,
        episode_id: str,
        reward: float | Mapping[str, float],
        info: Any = None,
        multiagent_done_dict: Mapping[str, bool] | None = None,
    ) -> None:
        """Adds to what the last action has brought; may be called several times between actions.

        Args:
            info: not used; it is here so that existing scripts work.
            multiagent_done_dict: agents for which this is True leave the episode, terminated.

        Raises:
            LocalProtocolError: there is no such episode, or an agent that has not acted.
        """
        rewards = reward if isinstance(reward, Mapping) else {DEFAULT_AGENT: float(reward)}
        with self._turn:
            episode = self._episode(episode_id)
            self._agent.reward(episode, rewards)
            for agent, is_done in (multiagent_done_dict or {}).items():
                if is_done and agent != "__all__":
                    self._agent.end_agent(episode, agent, None, Ending(True, False))

    def end_episode(self, episode_id: str, observation: Any, *, truncated: bool = False) -> None:
        """Ends an episode.

        Args:
            observation: the last one.
            truncated: it was cut off, by a time limit for instance, and not at a terminal state.

        Raises:
            LocalProtocolError: there is no such episode.
        """
        with self._turn:
            episode = self._episode(episode_id)
            observations = _by_agent(observation, is_multi_agent=self._is_multi_agent())
            self._agent.end(episode, observations, Ending(not truncated, truncated))
            del self._episodes[episode_id]

    def update_policy_weights(self) -> None:
        """Acts with the newest weights from the next action on.

        Weights arrive by themselves; without this, those of the present batch are used up to its
        end, which is a fraction of an update away.
        """
        with self._turn:
            self._agent.use_newest_weights()

    def close(self) -> None:
        """Delivers what was recorded, says goodbye and disconnects; open episodes are given up.

        May be called while another thread waits in `get_action`, which ends that.
        """
        # Who waits for credit has nothing to deliver, and would wait on.
        if not self._client.is_closed and self._turn.acquire(timeout=_TURN_S):
            try:
                self._agent.deliver()
            finally:
                self._turn.release()
        self._client.close()

    def _episode(self, name: str) -> Episode:
        if name not in self._episodes:
            raise LocalProtocolError(f"there is no open episode {name!r}: start_episode() first")
        return self._episodes[name]

    def _is_multi_agent(self) -> bool:
        manifest = self._agent.manifest()
        if manifest is None:
            raise LocalProtocolError("the client is closed")
        return manifest.multi_agent


def _by_agent(observation: Any, *, is_multi_agent: bool) -> Mapping[str, Any]:
    if not is_multi_agent:
        return {DEFAULT_AGENT: observation}
    if not isinstance(observation, Mapping):
        raise ConfigError("this run has several agents: observations are dicts by agent id")
    return observation
