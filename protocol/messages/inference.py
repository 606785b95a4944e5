"""Messages between thin simulators and a policy server (SPEC.md, section 11).

Each request has one payload, `{agent id: AgentTurn}` as maps; the answer to `act` has one too,
`{agent id: action}`. A single agent is called `default_agent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import Count, Name, PolicyVersion, Text
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.messages import Assignment, Message
from headrace.protocol.messages.headers import Frame, MessageDecoder
from headrace.protocol.payload import decode_payload

_LARGEST_REWARD = 3.4028234663852886e38
"""Of float32, in which rewards are recorded."""

DEFAULT_INFERENCE = "tcp://127.0.0.1:5570"
"""The endpoint of a policy server."""

_NUMBERS = (float, int)

Turn = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class Describe(Message, frozen=True, tag="describe"):
    """Asks which policy is served; answered once the learner has published. Retry each second."""


class Description(Message, frozen=True, tag="description"):
    """Answers `describe`.

    Attributes:
        multi_agent: whether agents have names of their own.
        infos: names of the infos that are recorded; unset for none.
        assignment: how to reset simulators; unset for none.
    """

    run: Name
    version: PolicyVersion
    multi_agent: bool = False
    infos: tuple[Name, ...] | msgspec.UnsetType = msgspec.UNSET
    assignment: Assignment | msgspec.UnsetType = msgspec.UNSET


class InferenceMessage(Message, frozen=True):
    """Base of the messages about an episode, between a thin simulator and a policy server.

    Attributes:
        episode: a name that no other episode has, such as 16 random bytes in hexadecimal.
        turn: the number of this request within the episode, from 0 without gaps; the answer has
            the same. An unanswered request is repeated with the same turn, and gets the same
            answer.
    """

    episode: Name
    turn: Turn


class Act(InferenceMessage, frozen=True, tag="act"):
    """Asks for actions; the first one of an episode begins it.

    Attributes:
        training_enabled: whether the episode is recorded for the learner; read in its first turn.
        task: of the assignment that the simulator was reset to; also read in the first turn.
    """

    payload_count: ClassVar[int] = 1

    training_enabled: bool = True
    task: Name | msgspec.UnsetType = msgspec.UNSET


class End(InferenceMessage, frozen=True, tag="end"):
    """Ends an episode for all agents in it.

    Attributes:
        truncated: whether the episode was cut off before a terminal state.
    """

    payload_count: ClassVar[int] = 1

    truncated: bool = False


class Actions(InferenceMessage, frozen=True, tag="actions"):
    """Answers `act`."""

    payload_count: ClassVar[int] = 1


class Ended(InferenceMessage, frozen=True, tag="ended"):
    """Answers `end`.

    Attributes:
        assignment: for the next reset of the simulator; unset for none.
    """

    assignment: Assignment | msgspec.UnsetType = msgspec.UNSET


class Denial(Message, frozen=True, tag="denial"):
    """Says why a request was not served; after `unknown_episode` begin another one.

    Attributes:
        episode, turn: of the request, if they could be read.
    """

    code: RejectCode
    reason: Text
    episode: Name | None = None
    turn: Count | None = None


Request = Act | End
Question = Request | Describe
Answer = Actions | Ended | Denial | Description


_NO_INFO: dict[str, Any] = {}


class AgentTurn(msgspec.Struct, frozen=True):
    """One agent's part of a request.

    Attributes:
        observation: an array, a number, lists of numbers, or maps of these; None if there is none.
        reward: since its last action.
        action: the one that it has chosen itself; None to request one.
        terminated, truncated: whether it leaves the episode with this observation.
        info: numbers that came with the reward; those that the learner asks for are recorded.
    """

    observation: Any = None
    reward: float = 0.0
    action: Any = None
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = {}

    @property
    def has_left(self) -> bool:
        """Whether the agent has left the episode, and so gets no action."""
        return self.terminated or self.truncated


def request_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[Question]:
    """Returns the decoder for messages from thin simulators."""
    return MessageDecoder(Question, limits)


def answer_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[Answer]:
    """Returns the decoder for the answers to them."""
    return MessageDecoder(Answer, limits)


def decode_turns(frame: Frame, limits: DecodeLimits = DEFAULT_LIMITS) -> dict[str, AgentTurn]:
    """Returns the agents' turns in the payload of a request.

    Raises:
        RemoteProtocolError: the payload does not hold agents' turns.
    """
    tree = decode_payload(frame, limits)
    try:
        return {agent: _turn(fields) for agent, fields in tree.items()}
    except TypeError as error:
        raise RemoteProtocolError(RejectCode.MALFORMED, f"not an agent's turn: {error}") from error


def _turn(fields: Any) -> AgentTurn:
    """Converts by hand: a library would inspect observations, which may be anything."""
    if not isinstance(fields, dict):
        raise TypeError("it is not a map")
    reward = fields.get("reward", 0.0)
    if type(reward) not in _NUMBERS or not abs(reward) <= _LARGEST_REWARD:
        raise TypeError(f"a reward of {reward!r:.80} is not a finite number")
    terminated, truncated = fields.get("terminated", False), fields.get("truncated", False)
    if type(terminated) is not bool or type(truncated) is not bool:
        raise TypeError("'terminated' and 'truncated' must be true or false")
    info = fields.get("info", _NO_INFO)
    if not isinstance(info, dict):
        raise TypeError("'info' is not a map")
    action = fields.get("action")
    return AgentTurn(fields.get("observation"), float(reward), action, terminated, truncated, info)


def encode_actions(actions: Mapping[str, Any]) -> bytes:
    """Returns the payload of an answer: numbers, and lists of them, by agent."""
    return msgspec.msgpack.encode(actions)


class RequestName(msgspec.Struct, frozen=True):
    """The episode and turn of a request, whatever else its header holds."""

    episode: Name
    turn: Count


_NAME = msgspec.msgpack.Decoder(RequestName)


def peek_request(header: Frame) -> RequestName | None:
    """Returns episode and turn of a request that could not be decoded, to answer it."""
    try:
        return _NAME.decode(header)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return None
