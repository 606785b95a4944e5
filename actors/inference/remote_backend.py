"""Actions from a policy server, for simulators that cannot run a policy themselves."""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq
from msgspec import UNSET

from headrace.actors.connection.assignments import Adoption, Reset
from headrace.actors.inference.backend import InferenceBackend, Seen
from headrace.actors.inference.observation_trees import observation_tree
from headrace.actors.recording.infos import info_numbers
from headrace.actors.recording.non_finite import (
    NonFiniteValues,
    OnNonFinite,
    fault_of_leaves,
    fault_of_reward,
    tree_with_zeros,
)
from headrace.actors.recording.simulator_values import rewards_by_agent
from headrace.actors.recording.step_result import Ending
from headrace.protocol.endpoints import require_endpoint
from headrace.protocol.errors import (
    ConfigError,
    LocalProtocolError,
    RefusedError,
    RejectCode,
    RemoteProtocolError,
)
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Assignment
from headrace.protocol.messages.headers import Frame, encode_header
from headrace.protocol.messages.inference import (
    Act,
    Answer,
    Denial,
    Describe,
    Description,
    End,
    Ended,
    answer_decoder,
)
from headrace.protocol.paths import flatten_paths
from headrace.protocol.payload import decode_payload, encode_payload
from headrace.protocol.silence import SilenceWatch
from headrace.protocol.silence_warnings import SilenceWarnings
from headrace.protocol.trajectory import OBSERVATIONS
from headrace.protocol.zeromq.client_socket import Context, make_client_socket
from headrace.protocol.zeromq.diagnosis import POLICY_SERVER, diagnose
from headrace.protocol.zeromq.frames import drain

_LOG = logging.getLogger("headrace.actor")
_RESEND_S = 2.0
_LONGEST_SILENCE_S = 30.0
_LOOK_FOR_CLOSE_MS = 100
_PEER = "the policy server"

Clock = Callable[[], float]
Key = tuple[str, int]
"""Episode and turn of a request."""
_DESCRIPTION: Key = ("", 0)


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
    """One socket to one endpoint, at which any policy server may answer.

    Requests without an answer are repeated; they are idempotent. An episode that a restarted server
    does not know continues as a new one, whose beginning the learner never sees.
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
        self._endpoint = require_endpoint(endpoint, "the policy server's endpoint")
        self._socket = _dealer(context or zmq.Context.instance(), endpoint, invitation)
        self._clock = clock
        self._decode = answer_decoder().decode
        self._episodes: dict[str, _Remote] = {}
        self._description: Description | None = None
        self._assignment: Assignment | None = None
        self._adoption = Adoption()
        self._silence: SilenceWatch | None = None
        """Spans unanswered requests, across several calls with short timeouts."""
        self._warnings: SilenceWarnings | None = None
        self._has_keys = invitation is not None
        self._closing = threading.Event()

    def is_multi_agent(self) -> bool:
        self.wait(math.inf)
        return self._description is not None and self._description.multi_agent

    def wait(self, timeout_s: float) -> bool:
        if self._description is None:
            answers = self._ask({_DESCRIPTION: [encode_header(Describe())]}, timeout_s)
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
            answers = self._ask(requests)
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
        for agent, reward in rewards_by_agent(rewards).items():
            if agent not in remote.acting:
                raise LocalProtocolError(f"a reward for agent {agent!r} before its first action")
            remote.rewards[agent] = remote.rewards.get(agent, 0.0) + reward

    def inform(self, name: str, infos: Mapping[str, Mapping[str, Any]]) -> None:
        remote = self._episodes[name]
        for agent, info in infos.items():
            numbers = info_numbers(self._infos_wanted, info)
            if not numbers:
                continue
            if agent not in remote.acting:
                raise LocalProtocolError(f"an info for agent {agent!r} before its first action")
            remote.infos.setdefault(agent, {}).update(numbers)

    def leave(self, name: str, agent: str) -> None:
        remote = self._episodes[name]
        if agent not in remote.acting:
            raise LocalProtocolError(f"agent {agent!r} cannot leave: it is not in this episode")
        remote.acting.discard(agent)
        remote.left.add(agent)

    def end(self, name: str, seen: Seen, ending: Ending) -> None:
        remote = self._episodes.pop(name)
        if not remote.turn:
            return  # the server does not know it
        turns = self._turns(remote, seen)
        if not remote.turn:
            return  # the server ends the broken episode by itself
        message = End(episode=remote.episode, turn=remote.turn, truncated=ending.truncated)
        asked = [encode_header(message), encode_payload(turns)]
        answer, _ = self._ask({remote.key: asked})[remote.key]
        if isinstance(answer, Denial):
            self._start_over_or_raise(remote, answer)
        elif isinstance(answer, Ended):
            self._assignment = answer.assignment or None

    def use_newest_weights(self) -> None:
        """Does nothing: the server always uses the newest weights."""

    def interrupt(self) -> None:
        self._closing.set()

    def close(self) -> None:
        self._closing.set()
        self._socket.close(linger=0)

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
            raise RefusedError(denial.code, denial.reason, _PEER)
        _LOG.warning("the policy server no longer knows an episode: it continues as a new one")
        remote.start_over()

    def _ask(
        self, asked: Mapping[Key, list[bytes]], timeout_s: float = math.inf
    ) -> dict[Key, tuple[Answer, bytes]]:
        """Sends requests, repeats unanswered ones, and returns the answers that came in time.

        Raises:
            LocalProtocolError: the client was closed.
            RefusedError: the server cannot read a request, or this side an answer.
        """
        answers: dict[Key, tuple[Answer, bytes]] = {}
        resend_at_s = float("-inf")
        deadline_s = self._clock() + timeout_s
        while True:
            if self._closing.is_set():
                raise LocalProtocolError("the client is closed")
            now_s = self._clock()
            if self._silence is None:
                self._silence = SilenceWatch(now_s, _RESEND_S, _LONGEST_SILENCE_S)
            self._report_silence(now_s)
            if self._silence.restart_if_overdue(now_s):
                self._reconnect()
                resend_at_s = now_s
            if now_s >= resend_at_s:
                resend_at_s = now_s + _RESEND_S
                self._send([frames for key, frames in asked.items() if key not in answers])
            left_ms = max(0.0, deadline_s - now_s) * 1000
            self._socket.poll(math.ceil(min(_LOOK_FOR_CLOSE_MS, left_ms)))
            for frames in drain(self._socket):
                key, answer = self._read(frames)
                if key in asked:  # else it answers a repeated request
                    answers[key] = answer
            if len(answers) == len(asked):
                self._silence = self._warnings = None
                return answers
            if self._clock() >= deadline_s:
                return answers

    def _report_silence(self, now_s: float) -> None:
        if self._warnings is None:
            self._warnings = SilenceWarnings([_PEER], now_s)
        if self._warnings.take_due(now_s):
            cause = diagnose(self._endpoint, POLICY_SERVER, has_keys=self._has_keys)
            _LOG.warning("no answer from a policy server at %s: %s", self._endpoint, cause)

    def _reconnect(self) -> None:
        """Connects again: libzmq gives up on a connection that was refused once.

        A peer that was only just invited may be accepted by now.
        """
        self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def _send(self, requests: list[list[bytes]]) -> None:
        for frames in requests:
            try:
                self._socket.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                return  # no server is connected: the next attempt sends them

    def _read(self, frames: Sequence[Frame]) -> tuple[Key, tuple[Answer, bytes]]:
        try:
            answer, payloads = self._decode(frames)
        except RemoteProtocolError as error:
            raise RefusedError(
                error.code, f"its answer is invalid: {error.reason}", _PEER
            ) from error
        payload = bytes(payloads[0]) if payloads else b""
        if isinstance(answer, Description):
            return _DESCRIPTION, (answer, payload)
        if answer.episode is None or answer.turn is None:
            raise RefusedError(answer.code, answer.reason, _PEER)
        return (answer.episode, answer.turn), (answer, payload)


def _dealer(context: Context, endpoint: str, invitation: Invitation | None) -> zmq.Socket[bytes]:
    """Returns a DEALER that connects to a policy server, as soon as there is one.

    Raises:
        ConfigError: the endpoint is invalid.
    """
    made = make_client_socket(context, zmq.DEALER, endpoint, {"LINGER": 0}, invitation)
    try:
        made.connect(endpoint)
    except zmq.ZMQError as error:
        made.close(linger=0)
        raise ConfigError(f"cannot connect to {endpoint!r}: {error}") from error
    return made
