"""Actions from a policy server, for simulators that cannot run a policy themselves."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from headrace.actors.connection.assignments import Adoption, Reset
from headrace.actors.inference.backend import InferenceBackend, Seen
from headrace.actors.inference.observation_trees import observation_tree
from headrace.actors.inference.request_socket import DESCRIPTION, PEER, Clock, Key, RequestSocket
from headrace.actors.recording.infos import numbers_by_agent
from headrace.actors.recording.non_finite import (
    NonFiniteValues,
    OnNonFinite,
    fault_of_leaves,
    fault_of_reward,
    tree_with_zeros,
)
from headrace.actors.recording.open_episodes import require_agents
from headrace.actors.recording.simulator_values import rewards_by_agent
from headrace.actors.recording.step_result import Ending
from headrace.protocol.endpoints import require_endpoint
from headrace.protocol.errors import (
    LocalProtocolError,
    RefusedError,
    RejectCode,
)
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Assignment
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.messages.inference import (
    Act,
    Denial,
    Describe,
    Description,
    End,
    Ended,
)
from headrace.protocol.paths import flatten_paths
from headrace.protocol.payload import decode_payload, encode_payload
from headrace.protocol.trajectory import OBSERVATIONS
from headrace.protocol.zeromq.client_socket import Context

_LOG = logging.getLogger("headrace.actor")


@dataclass
class _Remote:
    """The server's view of an episode."""

    is_recorded: bool
    assigned: Reset
    task: str | None = None
    has_acted: bool = False
    is_broken: bool = False
    episode: str = ""
    turn: int = 0
    acting: set[str] = field(default_factory=set[str])
    rewards: dict[str, float] = field(default_factory=dict[str, float])
    infos: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    left: set[str] = field(default_factory=set[str])

    @property
    def key(self) -> Key:
        """The key of the next request."""
        return self.episode, self.turn

    def break_off(self) -> None:
        """Continues as an episode that is not recorded; the server truncates the former one."""
        self.is_broken, self.is_recorded = True, False
        self.start_over()

    def start_over(self) -> None:
        """Starts over as a new episode of the server."""
        self.episode, self.turn = secrets.token_hex(16), 0
        self.acting, self.rewards, self.infos, self.left = set(), {}, {}, set()

    @property
    def fault_of_rewards(self) -> str | None:
        """Which reward is not finite, None if all are."""
        faults = (fault_of_reward(reward, agent) for agent, reward in self.rewards.items())
        return next((fault for fault in faults if fault is not None), None)


class RemoteBackend(InferenceBackend):
    """Asks the policy servers at one endpoint.

    An episode that a restarted server does not know continues as a new one, whose beginning the
    learner never sees.
    """

    def __init__(
        self,
        endpoint: str,
        context: Context | None = None,
        invitation: Invitation | None = None,
        on_non_finite: OnNonFinite = "drop_episode",
        clock: Clock = time.monotonic,
    ) -> None:
        self._non_finite = NonFiniteValues(on_non_finite)
        require_endpoint(endpoint, "the policy server's endpoint")
        self._requests = RequestSocket(endpoint, context, invitation, clock)
        self._episodes: dict[str, _Remote] = {}
        self._description: Description | None = None
        self._assignment: Assignment | None = None
        self._adoption = Adoption()

    def is_multi_agent(self) -> bool:
        self.wait(math.inf)
        return self._description is not None and self._description.multi_agent

    def wait(self, timeout_s: float) -> bool:
        if self._description is None:
            answers = self._requests.ask({DESCRIPTION: [encode_header(Describe())]}, timeout_s)
            for described, _ in answers.values():
                if isinstance(described, Description):
                    self._description = described
                    self._assignment = described.assignment or None
        return self._description is not None

    @property
    def _infos_wanted(self) -> tuple[str, ...]:
        return (self._description.infos or ()) if self._description is not None else ()

    def start(self, name: str, *, is_recorded: bool) -> None:
        remote = _Remote(is_recorded, self._adoption.adopt(self._assignment))
        remote.start_over()
        self._episodes[name] = remote

    def assigned(self, name: str) -> Reset:
        remote = self._episodes[name]
        if not remote.has_acted:
            remote.task = remote.assigned.task
        return remote.assigned

    def act(self, seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
        return self._act(seen, {})

    def note(self, name: str, seen: Seen, actions: Mapping[str, Any]) -> None:
        self._act({name: {agent: seen[agent] for agent in actions}}, actions)

    def _act(self, seen: Mapping[str, Seen], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        actions: dict[str, dict[str, Any]] = {}
        while missing := [name for name in seen if name not in actions]:
            requests: dict[Key, list[bytes]] = {}
            for name in missing:  # a request may break its episode off, and change its key
                request = self._act_request(name, seen[name], given)
                requests[self._episodes[name].key] = request
            answers = self._requests.ask(requests)
            for name in missing:
                remote = self._episodes[name]
                answer, payload = answers[remote.key]
                if isinstance(answer, Denial):
                    self._start_over_or_raise(remote, answer)
                    continue
                actions[name] = decode_payload(payload)
                remote.turn += 1
                remote.has_acted = True
                remote.acting |= seen[name].keys()
                remote.rewards, remote.infos, remote.left = {}, {}, set()
        return actions

    def reward(self, name: str, rewards: Mapping[str, float]) -> None:
        remote = self._episodes[name]
        checked = rewards_by_agent(rewards)
        require_agents("a reward", checked, remote.acting)
        for agent, reward in checked.items():
            remote.rewards[agent] = remote.rewards.get(agent, 0.0) + reward

    def inform(self, name: str, infos: Mapping[str, Mapping[str, Any]]) -> None:
        remote = self._episodes[name]
        checked = numbers_by_agent(self._infos_wanted, infos)
        require_agents("an info", checked, remote.acting)
        for agent, numbers in checked.items():
            remote.infos.setdefault(agent, {}).update(numbers)

    def leave(self, name: str, agent: str) -> None:
        remote = self._episodes[name]
        if agent not in remote.acting:
            raise LocalProtocolError(f"agent {agent!r} cannot leave: it is not in this episode")
        remote.acting.discard(agent)
        remote.left.add(agent)

    def end(self, name: str, seen: Seen, ending: Ending) -> None:
        self._end(self._episodes[name], seen, ending)
        del self._episodes[name]

    def _end(self, remote: _Remote, seen: Seen, ending: Ending) -> None:
        if not remote.turn:
            return  # the server does not know it
        turns = self._turns(remote, seen)
        if not remote.turn:
            return  # the server ends the broken episode by itself
        message = End(episode=remote.episode, turn=remote.turn, truncated=ending.truncated)
        asked = [encode_header(message), encode_payload(turns)]
        answer, _ = self._requests.ask({remote.key: asked})[remote.key]
        if isinstance(answer, Denial):
            self._start_over_or_raise(remote, answer)
        elif isinstance(answer, Ended):
            self._assignment = answer.assignment or None

    def use_newest_weights(self) -> None:
        """Does nothing: the server always uses the newest weights."""

    def interrupt(self) -> None:
        self._requests.interrupt()

    def close(self) -> None:
        self._requests.close()

    def _act_request(self, name: str, seen: Seen, given: Mapping[str, Any]) -> list[bytes]:
        remote = self._episodes[name]
        turns = self._turns(remote, seen)
        message = Act(
            episode=remote.episode,
            turn=remote.turn,
            training_enabled=remote.is_recorded,
            task=remote.task or UNSET,
        )
        for agent, action in given.items():
            turns[agent]["action"] = observation_tree(action)
        return [encode_header(message), encode_payload(turns)]

    def _turns(self, remote: _Remote, seen: Seen) -> dict[str, Any]:
        turns: dict[str, dict[str, Any]] = {
            agent: {"observation": observation_tree(observation)}
            for agent, observation in seen.items()
        }
        self._look_for_faults(remote, turns)
        if remote.is_broken:
            return {
                agent: {"observation": tree_with_zeros(turn["observation"])}
                for agent, turn in turns.items()
            }
        for agent, reward in remote.rewards.items():
            turns.setdefault(agent, {})["reward"] = reward
        for agent, info in remote.infos.items():
            turns.setdefault(agent, {})["info"] = info
        for agent in remote.left:
            turns.setdefault(agent, {})["terminated"] = True
        return turns

    def _look_for_faults(self, remote: _Remote, turns: Mapping[str, Any]) -> None:
        """Reports the episode's first value that is not finite; the server must not see it."""
        if remote.is_broken:
            return
        faults = [
            fault_of_leaves(flatten_paths(turn["observation"], OBSERVATIONS))
            for turn in turns.values()
        ]
        fault = next(filter(None, [remote.fault_of_rewards, *faults]), None)
        if fault is not None:
            self._non_finite.report(fault, remote.turn)
            remote.break_off()

    def _start_over_or_raise(self, remote: _Remote, denial: Denial) -> None:
        if denial.code is not RejectCode.UNKNOWN_EPISODE:
            raise RefusedError(denial.code, denial.reason, PEER)
        _LOG.warning("the policy server no longer knows an episode: it continues as a new one")
        remote.start_over()
