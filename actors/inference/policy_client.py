"""The verbs of RLlib's PolicyClient, for simulators that own their loop."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from headrace.actors.connection.assignments import Reset
from headrace.actors.connection.client import Client
from headrace.actors.inference.backend import Inference
from headrace.actors.inference.remote_backend import RemoteInference
from headrace.actors.recording.step_result import Ending
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages.inference import DEFAULT_INFERENCE
from headrace.protocol.trajectory import DEFAULT_AGENT

if TYPE_CHECKING:
    from headrace.actors.agents.policy_runner import ModuleOf

_TURN_S = 1.0
WithoutCredit = Literal["wait", "act"]
InferenceMode = Literal["local", "remote"]


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
        inference_mode: InferenceMode = "local",
        *,
        actor: str | None = None,
        invitation: Invitation | None = None,
        without_credit: WithoutCredit = "wait",
        policy_mapping_fn: ModuleOf | None = None,
        seed: int | None = None,
    ) -> None:
        """Connects; the broker, or the policy server, need not be there yet.

        Args:
            address: the broker's; with remote inference a policy server's endpoint.
            inference_mode: whether the policy runs here, or in `headrace policy-server`. The
                arguments after `invitation` are for local inference.
            without_credit: what `get_action` does while the learner wants no data: wait, or act
                without recording, for simulators that cannot wait.
            policy_mapping_fn: the module that acts for an agent id, where the run has several.

        Raises:
            ConfigError: the address, the actor id or the invitation cannot be used.
        """
        self._inference: Inference
        if inference_mode == "remote":
            endpoint = address or (invitation.address if invitation else DEFAULT_INFERENCE)
            self._inference = RemoteInference(endpoint, invitation=invitation)
        elif inference_mode == "local":
            # Imported here, since remote inference needs no ONNX Runtime.
            from headrace.actors.agents.episode_agent import EpisodeAgent
            from headrace.actors.inference.local_backend import LocalInference

            client = Client(address, actor=actor, invitation=invitation)
            waits = without_credit == "wait"
            agent = EpisodeAgent(client, waits=waits, module_of=policy_mapping_fn, seed=seed)
            self._inference = LocalInference(client, agent)
        else:
            raise ConfigError(f"inference_mode is 'local' or 'remote', not {inference_mode!r}")
        self._open: set[str] = set()
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for_policy(self, timeout_s: float) -> bool:
        """Waits until there is a policy to act with; returns False if there is none in time.

        Not needed: `get_action` waits by itself, for as long as it takes.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: the broker will not serve this actor.
        """
        with self._turn:
            return self._inference.wait(timeout_s)

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
            if name in self._open:
                raise LocalProtocolError(f"episode {name!r} has begun already")
            self._open.add(name)
            self._inference.start(name, is_recorded=training_enabled)
        return name

    def assigned(self, episode_id: str) -> Reset:
        """Returns what the learner had assigned at `start_episode`: reset the simulator so.

        An episode for which nobody asks before its first action is recorded as of no task.
        Before the first episode, `wait_for_policy` lets the learner be heard.

        Raises:
            LocalProtocolError: there is no such episode.
        """
        with self._turn:
            self._require(episode_id)
            return self._inference.assigned(episode_id)

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
            for name in names:
                self._require(name)
            is_multi_agent = self._inference.is_multi_agent()
            seen = {
                name: _by_agent(
                    observation if is_one else observation[name], is_multi_agent=is_multi_agent
                )
                for name in names
            }
            acted = self._inference.act(seen)
        actions = {
            name: acted[name] if is_multi_agent else acted[name][DEFAULT_AGENT] for name in names
        }
        return actions[names[0]] if is_one else actions

    def log_action(self, episode_id: str, observation: Any, action: Any) -> None:
        """Records an action that the simulator, or a person, chose upon an observation.

        Only algorithms that learn from anybody's actions can use it: DQN and SAC.

        Raises:
            ConfigError: the learner cannot train on it, or something does not fit.
            LocalProtocolError: there is no such episode, or the client was closed.
            RefusedError: the broker will not serve this actor; with remote inference, or what
                `ConfigError` says.
        """
        with self._turn:
            self._require(episode_id)
            is_multi_agent = self._inference.is_multi_agent()
            self._inference.note(
                episode_id,
                _by_agent(observation, is_multi_agent=is_multi_agent),
                _by_agent(action, is_multi_agent=is_multi_agent),
            )

    def log_returns(
        self,
        episode_id: str,
        reward: float | Mapping[str, float],
        info: Mapping[str, Any] | None = None,
        multiagent_done_dict: Mapping[str, bool] | None = None,
    ) -> None:
        """Adds to what the last action has brought; may be called several times between actions.

        Args:
            info: what else the simulator says of the action; numbers that the learner asks for
                (`infos` in its config) are recorded. With several agents, dicts by agent.
            multiagent_done_dict: agents for which this is True leave the episode, terminated.

        Raises:
            ConfigError: an info that the learner asks for is no number.
            LocalProtocolError: there is no such episode, or an agent that has not acted.
        """
        rewards = reward if isinstance(reward, Mapping) else {DEFAULT_AGENT: float(reward)}
        with self._turn:
            self._require(episode_id)
            self._inference.reward(episode_id, rewards)
            if info:
                by_agent = _by_agent(info, is_multi_agent=self._inference.is_multi_agent())
                self._inference.inform(episode_id, by_agent)
            for agent, is_done in (multiagent_done_dict or {}).items():
                if is_done and agent != "__all__":
                    self._inference.leave(episode_id, agent)

    def end_episode(self, episode_id: str, observation: Any, *, truncated: bool = False) -> None:
        """Ends an episode.

        Args:
            observation: the last one.
            truncated: it was cut off, by a time limit for instance, and not at a terminal state.

        Raises:
            LocalProtocolError: there is no such episode.
        """
        with self._turn:
            self._require(episode_id)
            is_multi_agent = self._inference.is_multi_agent()
            seen = _by_agent(observation, is_multi_agent=is_multi_agent)
            self._inference.end(episode_id, seen, Ending(not truncated, truncated))
            self._open.discard(episode_id)

    def update_policy_weights(self) -> None:
        """Acts with the newest weights from the next action on.

        Weights arrive by themselves; without this, those of the present batch are used up to its
        end, which is a fraction of an update away.
        """
        with self._turn:
            self._inference.use_newest_weights()

    def close(self) -> None:
        """Delivers what was recorded, says goodbye and disconnects; open episodes are given up.

        May be called while another thread waits in `get_action`, which ends that.
        """
        if not self._turn.acquire(timeout=_TURN_S):
            self._inference.interrupt()
            self._turn.acquire()
        try:
            self._inference.close()
        finally:
            self._turn.release()

    def _require(self, name: str) -> None:
        if name not in self._open:
            raise LocalProtocolError(f"there is no open episode {name!r}: start_episode() first")


def _by_agent(observation: Any, *, is_multi_agent: bool) -> Mapping[str, Any]:
    if not is_multi_agent:
        return {DEFAULT_AGENT: observation}
    if not isinstance(observation, Mapping):
        raise ConfigError("this run has several agents: observations are dicts by agent id")
    return observation
