"""The API of RLlib's PolicyClient, for simulators that own their loop."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from headrace.actors.connection.assignments import Reset
from headrace.actors.connection.client import Client
from headrace.actors.connection.joining import invitation_of
from headrace.actors.inference.backend import InferenceBackend
from headrace.actors.inference.remote_backend import RemoteBackend
from headrace.actors.recording.batch_lifecycle import WithoutCredit, waits_without_credit
from headrace.actors.recording.non_finite import OnNonFinite
from headrace.actors.recording.simulator_values import flag_of
from headrace.actors.recording.step_result import Ending
from headrace.protocol.errors import ConfigError, LocalProtocolError, shortened
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages.inference import DEFAULT_INFERENCE
from headrace.protocol.trajectory import DEFAULT_AGENT

if TYPE_CHECKING:
    from headrace.actors.agents.policy_runner import ModuleOf

_TURN_S = 1.0
Value = TypeVar("Value")
InferenceMode = Literal["local", "remote"]


class PolicyClient:
    """Acts for a simulator's episodes with the learner's policy, and delivers the trajectories.

    If the learner's run has several agents, observations, actions and rewards are dicts by agent
    id. Several episodes may be open at once, also in several threads; calls wait for one another.

    The methods are those of `ray.rllib.env.policy_client.PolicyClient` of RLlib's old API stack;
    docs/policy-client.md lists the differences.
    """

    def __init__(  # noqa: PLR0913 - one parameter per option
        self,
        address: str | Sequence[str] | None = None,
        inference_mode: InferenceMode = "local",
        *,
        actor: str | None = None,
        invitation: Invitation | None = None,
        without_credit: WithoutCredit = "wait",
        policy_mapping_fn: ModuleOf | None = None,
        seed: int | None = None,
        join: str | Path | None = None,
        on_non_finite: OnNonFinite = "drop_episode",
    ) -> None:
        """Connects; the broker or policy server need not be running yet.

        Args:
            address: the broker's address, or those of several, of which the actor id chooses one;
                with remote inference, a policy server's endpoint.
            inference_mode: whether the policy runs in this process, or in `headrace
                policy-server`. `without_credit`, `policy_mapping_fn` and `seed` are for local
                inference.
            join: path of an invitation file, instead of `invitation`.
            without_credit: what `get_action` does while the learner wants no data: wait, or act
                without recording, for simulators that cannot wait.
            policy_mapping_fn: maps agent ids to modules, if the run has several.
            on_non_finite: what to do when an observation or a reward is not finite.

        Raises:
            ConfigError: the address, the actor id, the invitation or an option is invalid.
        """
        waits = waits_without_credit(without_credit)
        invitation = invitation_of(invitation, join)
        self._backend: InferenceBackend
        if inference_mode == "remote":
            if address is None:
                address = invitation.address if invitation else DEFAULT_INFERENCE
            if not isinstance(address, str):
                raise ConfigError("remote inference needs the endpoint of one policy server")
            self._backend = RemoteBackend(
                address, invitation=invitation, on_non_finite=on_non_finite
            )
        elif inference_mode == "local":
            # Imported here, since remote inference needs no ONNX Runtime.
            from headrace.actors.agents.episode_agent import EpisodeAgent
            from headrace.actors.inference.local_backend import LocalBackend

            client = Client(address, actor=actor, invitation=invitation)
            agent = EpisodeAgent(
                client,
                waits=waits,
                module_of=policy_mapping_fn,
                seed=seed,
                on_non_finite=on_non_finite,
            )
            self._backend = LocalBackend(client, agent)
        else:
            raise ConfigError(f"inference_mode is 'local' or 'remote', not {inference_mode!r}")
        self._open: set[str] = set()
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for_policy(self, timeout_s: float) -> bool:
        """Waits for a policy to act with; returns False on timeout.

        Optional: `get_action` waits too, for as long as it takes.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: the broker will not serve this actor.
        """
        with self._turn:
            return self._backend.wait(timeout_s)

    def start_episode(self, episode_id: str | None = None, training_enabled: bool = True) -> str:
        """Begins an episode, and returns its id.

        Args:
            episode_id: any text that is not the id of an open episode; random by default.
            training_enabled: whether the episode is delivered to the learner.

        Raises:
            ConfigError: the id is not a text, or `training_enabled` not a flag.
            LocalProtocolError: an episode with this id is already open.
        """
        is_recorded = flag_of("training_enabled", training_enabled)
        if episode_id is not None and not isinstance(episode_id, str):
            raise ConfigError(f"an episode id is a text, not {shortened(repr(episode_id))}")
        name = episode_id or secrets.token_hex(16)
        with self._turn:
            if name in self._open:
                raise LocalProtocolError(f"episode {name!r} is already open")
            self._open.add(name)
            self._backend.start(name, is_recorded=is_recorded)
        return name

    def assigned(self, episode_id: str) -> Reset:
        """Returns the learner's assignment at `start_episode`; reset the simulator with it.

        If this is not called before an episode's first action, the episode is recorded without a
        task. Call `wait_for_policy` before the first episode, so that an assignment can arrive.

        Raises:
            LocalProtocolError: there is no such episode.
        """
        with self._turn:
            self._require(episode_id)
            return self._backend.assigned(episode_id)

    def get_action(self, episode_id: str | Sequence[str], observation: Any) -> Any:
        """Returns the policy's action for an observation.

        Asking for several episodes at once is faster: with a list of ids, observations and actions
        are dicts by episode id.

        Raises:
            ConfigError: the observation does not match the learner's policy.
            LocalProtocolError: there is no such episode, or the client was closed.
            RefusedError: the broker will not serve this actor.
        """
        is_one = isinstance(episode_id, str)
        names = [episode_id] if isinstance(episode_id, str) else list(episode_id)
        with self._turn:
            for name in names:
                self._require(name)
            is_multi_agent = self._backend.is_multi_agent()
            given = {names[0]: observation} if is_one else _by_episode(observation, names)
            seen = {name: _by_agent(given[name], is_multi_agent=is_multi_agent) for name in names}
            acted = self._backend.act(seen)
        if is_multi_agent:
            actions = {name: _by_given_id(acted[name], given[name]) for name in names}
        else:
            actions = {name: acted[name][DEFAULT_AGENT] for name in names}
        return actions[names[0]] if is_one else actions

    def log_action(self, episode_id: str, observation: Any, action: Any) -> None:
        """Records an action that the simulator, or a person, chose for an observation.

        Only algorithms that learn from any policy's actions can use it: DQN and SAC.

        Raises:
            ConfigError: the learner cannot train on it, or it does not match the policy.
            LocalProtocolError: there is no such episode, or the client was closed.
            RefusedError: the broker will not serve this actor; with remote inference, also for
                the reasons of `ConfigError`.
        """
        with self._turn:
            self._require(episode_id)
            is_multi_agent = self._backend.is_multi_agent()
            self._backend.note(
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
        """Adds to the reward of the last action; may be called several times between actions.

        Args:
            info: the info dict of the action; numbers that the learner asks for (`infos` in its
                config) are recorded. With several agents, info dicts by agent.
            multiagent_done_dict: agents for which this is True leave the episode, terminated.

        Raises:
            ConfigError: the reward, or an info that the learner asks for, is not a number, or a
                flag not one; nothing was added, and the same call with other values may follow.
            LocalProtocolError: there is no such episode, or an agent has not acted.
        """
        rewards = _by_name(reward) if isinstance(reward, Mapping) else {DEFAULT_AGENT: reward}
        done = {
            agent: flag_of(f"multiagent_done_dict[{agent!r}]", is_done)
            for agent, is_done in _by_name(multiagent_done_dict or {}).items()
        }
        with self._turn:
            self._require(episode_id)
            if info is not None:  # first, since the same call with another reward may follow
                is_multi_agent = self._backend.is_multi_agent()
                self._backend.inform(episode_id, _by_agent(info, is_multi_agent=is_multi_agent))
            self._backend.reward(episode_id, rewards)
            for agent, is_done in done.items():
                if is_done and agent != "__all__":
                    self._backend.leave(episode_id, agent)

    def end_episode(self, episode_id: str, observation: Any, *, truncated: bool = False) -> None:
        """Ends an episode.

        Args:
            observation: the last one.
            truncated: the episode was cut off, for instance by a time limit, and did not reach a
                terminal state.

        Raises:
            ConfigError: `truncated` is not a flag, or the observation does not match the policy.
            LocalProtocolError: there is no such episode.
        """
        is_cut = flag_of("truncated", truncated)
        with self._turn:
            self._require(episode_id)
            is_multi_agent = self._backend.is_multi_agent()
            seen = _by_agent(observation, is_multi_agent=is_multi_agent)
            self._backend.end(episode_id, seen, Ending(not is_cut, is_cut))
            self._open.discard(episode_id)

    def update_policy_weights(self) -> None:
        """Switches to the newest weights with the next action.

        Weights arrive without this call; then the open batch keeps its own until it ends, which is
        a fraction of an update away.
        """
        with self._turn:
            self._backend.use_newest_weights()

    def close(self) -> None:
        """Delivers what was recorded, says goodbye and disconnects; abandons open episodes.

        May be called while another thread waits in `get_action`; that call then ends.
        """
        if not self._turn.acquire(timeout=_TURN_S):
            self._backend.interrupt()
            self._turn.acquire()
        try:
            self._backend.close()
        finally:
            self._turn.release()

    def _require(self, name: str) -> None:
        if not isinstance(name, str) or name not in self._open:
            raise LocalProtocolError(f"there is no open episode {name!r}: start_episode() first")


def _by_agent(observation: Any, *, is_multi_agent: bool) -> Mapping[str, Any]:
    if not is_multi_agent:
        return {DEFAULT_AGENT: observation}
    if not isinstance(observation, Mapping):
        raise ConfigError("this run has several agents: observations are dicts by agent id")
    return _by_name(observation)


def _by_name(values: Mapping[Any, Value]) -> dict[str, Value]:
    """Returns values by the texts of agent ids, which may be of other kinds, such as integers."""
    return {str(agent): value for agent, value in values.items()}


def _by_given_id(values: Mapping[str, Value], given: Mapping[Any, Any]) -> dict[Any, Value]:
    """Returns values by the ids that were given, for those agents that have one."""
    return {agent: values[str(agent)] for agent in given if str(agent) in values}


def _by_episode(observations: Any, names: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(observations, Mapping) or not observations.keys() >= set(names):
        raise ConfigError(
            "with a list of episodes, observations are a dict by episode id, with one for each"
        )
    return observations
