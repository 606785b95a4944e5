"""Messages of RLlink 0.0.1, RLlib's own protocol for external simulators, read safely.

A message is eight ASCII digits, the length of its body, and the body: a msgpack map with `type`.
RLlib's reader unpickles a peer's bytes; this one accepts only what payload frames may contain.
Source: `ray.rllib.env.external.rllink`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsFloat, cast

import msgspec
from msgspec import UnsetType
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.limits import MIB, DecodeLimits
from headrace.protocol.messages import Assignment
from headrace.protocol.payload import decode_payload, encode_payload

PING, PONG = "PING", "PONG"
GET_CONFIG, SET_CONFIG = "GET_CONFIG", "SET_CONFIG"
GET_STATE, SET_STATE = "GET_STATE", "SET_STATE"
EPISODES, EPISODES_AND_GET_STATE = "EPISODES", "EPISODES_AND_GET_STATE"

_HEADER_BYTES = 8
_EXTENSION = "headrace"
LIMITS = DecodeLimits(max_payload_bytes=95 * MIB, max_nodes=4_000_000, max_depth=16)
"""Eight digits cannot announce more; episodes arrive as lists of single observations."""

_UNREADABLE = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)

Read = Callable[[int], bytes]
"""Returns the given number of bytes, fewer at the end of the stream."""


def read_message(read: Read) -> tuple[str, dict[str, Any]] | None:
    """Returns the next message's type and body, None at the end of the stream.

    Raises:
        RemoteProtocolError: the bytes are not a message, or exceed the limits.
    """
    header = read(_HEADER_BYTES)
    if not header:
        return None
    if len(header) < _HEADER_BYTES or not header.isdigit():
        raise _fault(f"a header {header!r} that is not eight digits")
    size = int(header)
    if size > LIMITS.max_payload_bytes:
        raise _fault(f"a body of {size} bytes; the limit is {LIMITS.max_payload_bytes}")
    body = read(size)
    if len(body) < size:
        raise _fault("a body that ends early")
    message = decode_payload(body, LIMITS)
    kind = message.pop("type", None)
    if not isinstance(kind, str):
        raise _fault("no 'type'")
    return kind, message


def write_message(kind: str, **body: Any) -> bytes:
    """Returns a message with its header."""
    encoded = encode_payload({"type": kind, **body})
    return f"{len(encoded):08}".encode() + encoded


@dataclass(frozen=True)
class RLlinkExtension:
    """The map `headrace` in a client's message; RLlib's own clients do not send it.

    Attributes:
        task: that of the assignment under which its episodes began.
        evaluates: the client runs evaluations; in EPISODES, these episodes are an evaluation.
    """

    task: str | None = None
    evaluates: bool = False


def extension_of(body: Mapping[str, Any]) -> RLlinkExtension:
    """Returns a message's extension of RLlink 0.0.1.

    Raises:
        RemoteProtocolError: the map `headrace` is not as docs/simulators.md describes it.
    """
    try:
        return msgspec.convert(body.get(_EXTENSION, {}), RLlinkExtension)
    except msgspec.ValidationError as error:
        raise _fault(f"an invalid map {_EXTENSION!r}: {error}") from error


def write_extension(assignment: Assignment | None, *, evaluate: bool) -> dict[str, Any]:
    """Returns a SET_STATE's extension of RLlink 0.0.1 as keyword arguments; usually none."""
    said: dict[str, Any] = {"evaluate": True} if evaluate else {}
    if assignment is not None:
        said |= {"task": assignment.task, "options": dict(assignment.options)}
        if not isinstance(assignment.seed, UnsetType):
            said["seed"] = assignment.seed
    return {_EXTENSION: said} if said else {}


def episodes_of(body: Mapping[str, Any]) -> list[SingleAgentEpisode]:
    """Returns the episode chunks of EPISODES or EPISODES_AND_GET_STATE.

    Raises:
        RemoteProtocolError: one is not a state from `SingleAgentEpisode.get_state`.
    """
    states = body.get("episodes")
    if not isinstance(states, list):
        raise _fault("no list of 'episodes'")
    try:
        return [_episode_of(cast("Mapping[str, Any]", state)) for state in states]
    except _UNREADABLE as error:
        raise _fault(f"an invalid episode: {error!r}") from error


def _episode_of(state: Mapping[str, Any]) -> SingleAgentEpisode:
    outputs = state["extra_model_outputs"] or {}
    lookback = int(state["rewards"]["lookback"])
    rewards: list[SupportsFloat] = [float(reward) for reward in state["rewards"]["data"]]
    return SingleAgentEpisode(
        id_=str(state["id_"]),
        observations=list(state["observations"]["data"]),
        actions=list(state["actions"]["data"]),
        rewards=rewards,
        extra_model_outputs={name: list(buffer["data"]) for name, buffer in outputs.items()},
        terminated=bool(state["is_terminated"]),
        truncated=bool(state["is_truncated"]),
        t_started=int(state["t_started"]),
        len_lookback_buffer=lookback,
    )


def _fault(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.MALFORMED, f"an RLlink message with {what}")
