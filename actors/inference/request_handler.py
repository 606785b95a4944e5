"""The policy server without its socket: requests of thin simulators in, answers out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.agents.policy_runner import GivenAction
from headrace.actors.inference.request_order import Fault, Key, RequestOrder
from headrace.actors.recording.non_finite import fault_of_leaves
from headrace.actors.recording.step_result import Columns, Ending
from headrace.actors.recording.tracks import Episode
from headrace.protocol.errors import ConfigError, RejectCode, RemoteProtocolError
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.messages.headers import Frame, encode_header
from headrace.protocol.messages.inference import (
    Act,
    Actions,
    AgentTurn,
    Denial,
    Describe,
    Description,
    End,
    Ended,
    Request,
    RequestName,
    decode_turns,
    encode_actions,
    peek_request,
    request_decoder,
)

_LOG = logging.getLogger("headrace.policy_server")


@dataclass(frozen=True)
class InferenceConfig:
    """How requests are served.

    Attributes:
        max_batch: most requests for which the policy is run at once.
        max_wait_s: how long a request waits for others to join its batch.
        episode_timeout_s: an episode without requests for this long is truncated.
        max_episodes: most episodes that may be open at once.
    """

    max_batch: int = 64
    max_wait_s: float = 0.0
    episode_timeout_s: float = 60.0
    max_episodes: int = 100_000


@dataclass(frozen=True)
class _Asked:
    """A request without an answer."""

    key: Key
    message: Request
    turns: Mapping[str, AgentTurn]


@dataclass
class _Served:
    """An open episode being served.

    Attributes:
        rows, given: those of the request that is ready for the policy.
    """

    episode: Episode
    rows: Mapping[str, Columns] = field(default_factory=dict[str, Columns])
    given: Mapping[str, GivenAction] = field(default_factory=dict[str, GivenAction])


class RequestHandler:
    """Queues requests with `take`, answers them with `serve`, and returns `take_answers`.

    It opens no socket, reads no clock, and never raises because of a peer's message.
    """

    def __init__(
        self,
        agent: EpisodeAgent,
        config: InferenceConfig = InferenceConfig(),
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._agent = agent
        self._config = config
        self._limits = limits
        self._decode = request_decoder(limits).decode
        self._order: RequestOrder[_Served] = RequestOrder(config.max_episodes)
        self._arrived: list[_Asked] = []
        self._ready: dict[Key, _Served] = {}
        self._describing: dict[bytes, None] = {}
        self._answers: list[tuple[bytes, list[bytes]]] = []

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._arrived) + len(self._ready) + len(self._describing)

    def take(self, route: bytes, name: str, frames: Sequence[Frame], now_s: float) -> None:
        """Queues one request, or answers it at once if it is repeated or denied.

        Args:
            route: the peer to answer.
            name: the peer's authenticated name; empty without keys.
        """
        if not frames:
            return
        try:
            message, payloads = self._decode(frames)
            if isinstance(message, Describe):
                self._describing[route] = None
                return
            turns = decode_turns(payloads[0], self._limits)
        except RemoteProtocolError as error:
            self._deny(route, (error.code, error.reason), peek_request(frames[0]))
            return
        key, order = (name, message.episode), self._order
        order.note_contact(key, route, now_s)
        if order.is_repeated(key, message.turn):
            answer = order.answer_to(key, message.turn)
            if answer is not None:  # else it is in progress
                self._answers.append((route, answer))
            return
        fault = order.fault_of(key, message.turn)
        if fault is not None:
            self._deny(route, fault, message)
            return
        if order.get(key) is None:
            order.open(key, _Served(self._start(message)), route, now_s)
        order.advance(key)
        self._arrived.append(_Asked(key, message, turns))

    def serve(self, timeout_s: float) -> None:
        """Answers the requests that it can; waits for the learner and credit up to the timeout.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        if (self._arrived or self._describing) and self._agent.manifest(timeout_s) is not None:
            if self._describing:
                self._describe()
            arrived, self._arrived = self._arrived, []
            for asked in arrived:
                self._apply(asked)
        chosen = dict(list(self._ready.items())[: self._config.max_batch])
        if not chosen:
            return
        try:
            acted = self._agent.act_upon(
                {served.episode: served.rows for served in chosen.values()},
                timeout_s,
                {
                    (served.episode, agent): action
                    for served in chosen.values()
                    for agent, action in served.given.items()
                },
            )
        except ConfigError as error:  # the learner's policy has changed
            for key in chosen:
                self._give_up(key, str(error))
            return
        if acted is None:
            return
        for key, served in chosen.items():
            del self._ready[key]
            actions = {agent: _plain(action) for agent, action in acted[served.episode].items()}
            self._answer(key, actions)

    def end_overdue(self, now_s: float) -> None:
        """Truncates episodes whose simulator has vanished, and delivers a batch if due."""
        limit_s = now_s - self._config.episode_timeout_s
        waiting = {asked.key for asked in self._arrived} | self._ready.keys()
        for key, known in self._order.silent_since(limit_s):
            if key not in waiting:
                _LOG.warning("episode %s is truncated: its simulator has gone silent", key[1])
                self._agent.cut_off(known.content.episode)
                self._order.forget(key)
        self._agent.batches.deliver_if_due()

    def take_answers(self) -> list[tuple[bytes, list[bytes]]]:
        """Returns the answers since the last call, each with its route."""
        answers, self._answers = self._answers, []
        return answers

    # ---------------------------------------------------------------- serving

    def _start(self, message: Request) -> Episode:
        if not isinstance(message, Act):
            return self._agent.start()
        task = None if isinstance(message.task, UnsetType) else message.task
        return self._agent.start(is_recorded=message.training_enabled, task=task)

    def _describe(self) -> None:
        manifest, version = self._agent.manifest(0.0), self._agent.version
        if manifest is None or version is None:
            return
        description = Description(
            run=manifest.run,
            version=version,
            multi_agent=manifest.multi_agent,
            infos=manifest.infos or UNSET,
            assignment=self._agent.assignment or UNSET,
        )
        self._answers += [(route, [encode_header(description)]) for route in self._describing]
        self._describing.clear()

    def _apply(self, asked: _Asked) -> None:
        """Records the results of the last actions; an `act` is then ready for the policy."""
        served = self._order[asked.key].content
        episode = served.episode
        try:
            rows = self._rows(episode, asked)
            given = {
                agent: self._agent.policies.given_action(agent, turn.action)
                for agent, turn in asked.turns.items()
                if turn.action is not None and agent in rows
            }
        except (ConfigError, RemoteProtocolError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else str(error)
            self._take_back(asked, reason)
            return
        rewards = {agent: turn.reward for agent, turn in asked.turns.items() if turn.reward}
        self._agent.episodes.reward(episode, rewards)
        infos = {agent: turn.info for agent, turn in asked.turns.items() if turn.info}
        if infos:
            self._agent.episodes.inform(episode, infos)
        if isinstance(asked.message, End):
            last = {agent: turn.observation for agent, turn in asked.turns.items()}
            cut_off = asked.message.truncated
            self._agent.end(episode, last, Ending(not cut_off, cut_off))
            self._end(asked.key)
            return
        for agent, turn in asked.turns.items():
            if turn.has_left and self._agent.episodes.has_acted(episode, agent):
                ending = Ending(turn.terminated, turn.truncated)
                self._agent.end_agent(episode, agent, turn.observation, ending)
        served.rows, served.given = rows, given
        if rows:
            self._ready[asked.key] = served
        else:
            self._answer(asked.key, {})

    def _take_back(self, asked: _Asked, reason: str) -> None:
        """Denies a request that changed nothing; its turn may be requested again."""
        self._order.take_back(asked.key)
        known = self._order[asked.key]
        self._deny(known.route, (RejectCode.INVALID_TURN, reason), asked.message)
        if not known.next_turn:
            self._agent.cut_off(known.content.episode)
            self._order.forget(asked.key)

    def _rows(self, episode: Episode, asked: _Asked) -> dict[str, Columns]:
        """Checks the whole request, and returns the rows to act on.

        Raises:
            ConfigError: an observation does not match the policy.
            RemoteProtocolError: another part of the request is invalid.
        """
        rows: dict[str, Columns] = {}
        cut_off = isinstance(asked.message, End) and asked.message.truncated
        for agent, turn in asked.turns.items():
            acted = self._agent.episodes.has_acted(episode, agent)
            if (turn.reward or turn.info) and not acted:
                raise _invalid(f"a reward or an info for agent {agent!r} before its first action")
            if turn.info:
                self._agent.episodes.check_info(turn.info)
            is_needed = isinstance(asked.message, Act) and not turn.has_left
            if turn.observation is None:
                if is_needed or (acted and (cut_off or turn.truncated)):
                    raise _invalid(f"agent {agent!r} has no observation")
                continue
            own = self._agent.policies.rows_of(agent, turn.observation)
            if (fault := fault_of_leaves(own)) is not None:
                raise _invalid(f"{fault}, which is not finite")
            if is_needed:
                rows[agent] = own
        if cut_off:
            missing = [a for a in self._agent.episodes.agents_of(episode) if a not in asked.turns]
            if missing:
                raise _invalid(f"agent {missing[0]!r} is truncated without its last observation")
        return rows

    def _answer(self, key: Key, actions: Mapping[str, Any]) -> None:
        message = Actions(episode=key[1], turn=self._order[key].turn)
        answer = [encode_header(message), encode_actions(actions)]
        known = self._order.answer(key, answer)
        self._answers.append((known.route, answer))

    def _end(self, key: Key) -> None:
        assignment = self._agent.assignment or UNSET
        ended = Ended(episode=key[1], turn=self._order[key].turn, assignment=assignment)
        answer = [encode_header(ended)]
        known = self._order.end(key, answer)
        self._answers.append((known.route, answer))

    def _give_up(self, key: Key, reason: str) -> None:
        known = self._order.forget(key)
        del self._ready[key]
        self._agent.cut_off(known.content.episode)
        asked = RequestName(key[1], known.turn)
        self._deny(known.route, (RejectCode.INVALID_TURN, reason), asked)

    def _deny(self, route: bytes, fault: Fault, asked: Request | RequestName | None) -> None:
        code, reason = fault
        denial = Denial(
            code=code,
            reason=reason[:4000],
            episode=asked.episode if asked is not None else None,
            turn=asked.turn if asked is not None else None,
        )
        self._answers.append((route, [encode_header(denial)]))


def _plain(action: Any) -> Any:
    """Returns an action as a number or a list of numbers, which every language has."""
    if isinstance(action, Mapping):
        return {key: _plain(member) for key, member in action.items()}
    if isinstance(action, tuple):
        return [_plain(member) for member in action]
    return action.tolist() if isinstance(action, np.ndarray) else action


def _invalid(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.INVALID_TURN, reason)
