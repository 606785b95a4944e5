"""A policy server without its socket: requests of thin simulators in, answers out."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from headrace.actors.agents.episode_agent import EpisodeAgent, GivenAction
from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Columns, Episode
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
_REMEMBERED_ENDS = 20_000

Fault = tuple[RejectCode, str]
Key = tuple[str, str]
"""Who speaks, and the episode; names of different peers are different episodes."""


@dataclass(frozen=True)
class InferenceConfig:
    """How requests are served.

    Attributes:
        max_batch: requests that the policy is run for at once.
        max_wait_s: for so long a request waits for others to come.
        episode_timeout_s: an episode of which nothing was heard for so long is truncated.
        max_episodes: that may be open at once.
    """

    max_batch: int = 64
    max_wait_s: float = 0.0
    episode_timeout_s: float = 60.0
    max_episodes: int = 100_000


@dataclass(frozen=True)
class _Asked:
    """A request that waits for its answer."""

    key: Key
    message: Request
    turns: Mapping[str, AgentTurn]


@dataclass
class _Open:
    """An episode between its first request and its end."""

    episode: Episode
    route: bytes
    heard_at_s: float
    next_turn: int = 0
    answered_turn: int = -1
    answer: list[bytes] = field(default_factory=list[bytes])
    rows: Mapping[str, Columns] = field(default_factory=dict[str, Columns])
    given: Mapping[str, GivenAction] = field(default_factory=dict[str, GivenAction])


class InferenceDesk:
    """Takes requests with `take`, serves them with `serve`, and gives `take_answers`.

    Nothing here opens a socket, reads a clock or raises because of what a peer sent.
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
        self._open: dict[Key, _Open] = {}
        self._ended: OrderedDict[Key, list[bytes]] = OrderedDict()
        self._arrived: list[_Asked] = []
        self._ready: dict[Key, _Open] = {}
        self._curious: dict[bytes, None] = {}
        self._answers: list[tuple[bytes, list[bytes]]] = []

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._arrived) + len(self._ready) + len(self._curious)

    def take(self, route: bytes, name: str, frames: Sequence[Frame], now_s: float) -> None:
        """Takes one message.

        Args:
            route: where the answer goes.
            name: what the peer was authenticated as; empty without keys.
        """
        if not frames:
            return
        try:
            message, payloads = self._decode(frames)
            if isinstance(message, Describe):
                self._curious[route] = None
                return
            turns = decode_turns(payloads[0], self._limits)
        except RemoteProtocolError as error:
            self._deny(route, (error.code, error.reason), peek_request(frames[0]))
            return
        key = (name, message.episode)
        known = self._open.get(key)
        if known is not None:
            known.route, known.heard_at_s = route, now_s
        if self._is_repeated(key, known, message, route):
            return
        fault = self._order_fault(known, message)
        if fault is not None:
            self._deny(route, fault, message)
            return
        if known is None:
            known = _Open(self._start(message), route, now_s)
            self._open[key] = known
        known.next_turn = message.turn + 1
        self._arrived.append(_Asked(key, message, turns))

    def serve(self, timeout_s: float) -> None:
        """Answers what can be answered; waits for the learner and for credit for a while.

        Raises:
            RefusedError: the broker will not serve this actor.
        """
        if (self._arrived or self._curious) and self._agent.manifest(timeout_s) is not None:
            if self._curious:
                self._describe()
            arrived, self._arrived = self._arrived, []
            for asked in arrived:
                self._apply(asked)
        chosen = dict(list(self._ready.items())[: self._config.max_batch])
        if not chosen:
            return
        try:
            acted = self._agent.act_upon(
                {known.episode: known.rows for known in chosen.values()},
                timeout_s,
                {
                    (known.episode, agent): action
                    for known in chosen.values()
                    for agent, action in known.given.items()
                },
            )
        except ConfigError as error:  # the learner's policy is another one now
            for key in chosen:
                self._give_up(key, str(error))
            return
        if acted is None:
            return
        for key, known in chosen.items():
            del self._ready[key]
            actions = {agent: _plain(action) for agent, action in acted[known.episode].items()}
            self._answer(key, known, actions)

    def end_overdue(self, now_s: float) -> None:
        """Truncates the episodes of those who have vanished, and delivers what is due."""
        limit_s = now_s - self._config.episode_timeout_s
        waiting = {asked.key for asked in self._arrived} | self._ready.keys()
        for key, known in list(self._open.items()):
            if known.heard_at_s < limit_s and key not in waiting:
                _LOG.warning("episode %s is truncated: nothing was heard of it", key[1])
                self._agent.cut_off(known.episode)
                del self._open[key]
        self._agent.deliver_if_due()

    def take_answers(self) -> list[tuple[bytes, list[bytes]]]:
        """Returns the answers since the last call, each with where it goes."""
        answers, self._answers = self._answers, []
        return answers

    # ---------------------------------------------------------------- order

    def _is_repeated(self, key: Key, known: _Open | None, message: Request, route: bytes) -> bool:
        """Whether a request was made before; the answer, if there is one, is given again."""
        if known is None:
            answer = self._ended.get(key)
        elif message.turn == known.answered_turn:
            answer = known.answer
        else:
            return message.turn == known.next_turn - 1  # its answer is under way
        if answer is not None:
            self._answers.append((route, answer))
        return answer is not None

    def _order_fault(self, known: _Open | None, message: Request) -> Fault | None:
        if known is None and message.turn:
            return (
                RejectCode.UNKNOWN_EPISODE,
                "this server does not know the episode (any more): begin another one",
            )
        if known is None and len(self._open) >= self._config.max_episodes:
            return RejectCode.TOO_MUCH, "too many episodes are open"
        if known is not None and message.turn != known.next_turn:
            return RejectCode.INVALID_TURN, f"turn {known.next_turn} comes next"
        if known is not None and known.answered_turn != known.next_turn - 1:
            return RejectCode.INVALID_TURN, f"turn {known.answered_turn + 1} is not answered yet"
        return None

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
        self._answers += [(route, [encode_header(description)]) for route in self._curious]
        self._curious.clear()

    def _apply(self, asked: _Asked) -> None:
        """Notes what came of the last actions; an `act` is then ready for the policy."""
        known = self._open[asked.key]
        try:
            rows = self._rows(known, asked)
            given = {
                agent: self._agent.given_action(agent, turn.action)
                for agent, turn in asked.turns.items()
                if turn.action is not None and agent in rows
            }
        except (ConfigError, RemoteProtocolError) as error:
            known.next_turn -= 1
            reason = error.reason if isinstance(error, RemoteProtocolError) else str(error)
            self._deny(known.route, (RejectCode.INVALID_TURN, reason), asked.message)
            if not known.next_turn:
                self._agent.cut_off(known.episode)
                del self._open[asked.key]
            return
        rewards = {agent: turn.reward for agent, turn in asked.turns.items() if turn.reward}
        self._agent.reward(known.episode, rewards)
        infos = {agent: turn.info for agent, turn in asked.turns.items() if turn.info}
        if infos:
            self._agent.inform(known.episode, infos)
        if isinstance(asked.message, End):
            last = {agent: turn.observation for agent, turn in asked.turns.items()}
            cut_off = asked.message.truncated
            self._agent.end(known.episode, last, Ending(not cut_off, cut_off))
            self._end(asked.key, known)
            return
        for agent, turn in asked.turns.items():
            if turn.has_left and self._agent.has_acted(known.episode, agent):
                ending = Ending(turn.terminated, turn.truncated)
                self._agent.end_agent(known.episode, agent, turn.observation, ending)
        known.rows, known.given = rows, given
        if rows:
            self._ready[asked.key] = known
        else:
            self._answer(asked.key, known, {})

    def _rows(self, known: _Open, asked: _Asked) -> dict[str, Columns]:
        """Returns the rows to act upon, once everything in the request was checked.

        Raises:
            ConfigError: an observation does not fit.
            RemoteProtocolError: something else does not.
        """
        rows: dict[str, Columns] = {}
        cut_off = isinstance(asked.message, End) and asked.message.truncated
        for agent, turn in asked.turns.items():
            acted = self._agent.has_acted(known.episode, agent)
            if (turn.reward or turn.info) and not acted:
                raise _invalid(f"a reward or an info for agent {agent!r} before its first action")
            if turn.info:
                self._agent.check_info(turn.info)
            is_needed = isinstance(asked.message, Act) and not turn.has_left
            if turn.observation is None:
                if is_needed or (acted and (cut_off or turn.truncated)):
                    raise _invalid(f"agent {agent!r} has no observation")
                continue
            own = self._agent.rows_of(agent, turn.observation)
            if is_needed:
                rows[agent] = own
        if cut_off:
            missing = [a for a in self._agent.agents_of(known.episode) if a not in asked.turns]
            if missing:
                raise _invalid(f"agent {missing[0]!r} is truncated without its last observation")
        return rows

    def _answer(self, key: Key, known: _Open, actions: Mapping[str, Any]) -> None:
        message = Actions(episode=key[1], turn=known.next_turn - 1)
        known.answered_turn = message.turn
        known.answer = [encode_header(message), encode_actions(actions)]
        self._answers.append((known.route, known.answer))

    def _end(self, key: Key, known: _Open) -> None:
        assignment = self._agent.assignment or UNSET
        ended = Ended(episode=key[1], turn=known.next_turn - 1, assignment=assignment)
        answer = [encode_header(ended)]
        del self._open[key]
        self._ended[key] = answer
        if len(self._ended) > _REMEMBERED_ENDS:
            self._ended.popitem(last=False)
        self._answers.append((known.route, answer))

    def _give_up(self, key: Key, reason: str) -> None:
        known = self._open.pop(key)
        del self._ready[key]
        self._agent.cut_off(known.episode)
        asked = RequestName(key[1], known.next_turn - 1)
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
    """Returns an action as numbers and lists of them, which every language has."""
    return action.tolist() if isinstance(action, np.ndarray) else action


def _invalid(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.INVALID_TURN, reason)
