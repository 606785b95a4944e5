"""Messages of RLlink 0.0.1, RLlib's own protocol for external simulators, read safely.

A message is eight ASCII digits, the length of its body, and the body: a msgpack map with `type`.
RLlib's reader unpickles what a peer sends; the one here takes the same bytes as payload frames do.
Source: `ray.rllib.env.external.rllink`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat, cast

from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.limits import MIB, DecodeLimits
from headrace.protocol.payload import decode_payload, encode_payload

PING, PONG = "PING", "PONG"
GET_CONFIG, SET_CONFIG = "GET_CONFIG", "SET_CONFIG"
GET_STATE, SET_STATE = "GET_STATE", "SET_STATE"
EPISODES, EPISODES_AND_GET_STATE = "EPISODES", "EPISODES_AND_GET_STATE"

_HEADER_BYTES = 8
LIMITS = DecodeLimits(max_payload_bytes=95 * MIB, max_nodes=4_000_000, max_depth=16)
"""What eight digits can announce; and episodes come as lists of single observations."""

_UNREADABLE = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)

Read = Callable[[int], bytes]
"""Returns so many bytes, less at the end of the stream."""


def read_message(read: Read) -> tuple[str, dict[str, Any]] | None:
    """Returns the next message's type and body, None at the end of the stream.

    Raises:
        RemoteProtocolError: the bytes are no message, or exceed the limits.
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


def episodes_of(body: Mapping[str, Any]) -> list[SingleAgentEpisode]:
    """Returns the episode pieces of EPISODES or EPISODES_AND_GET_STATE.

    Raises:
        RemoteProtocolError: one is not what `SingleAgentEpisode.get_state` gives.
    """
    states = body.get("episodes")
    if not isinstance(states, list):
        raise _fault("no list of 'episodes'")
    try:
        return [_episode_of(cast("Mapping[str, Any]", state)) for state in states]
    except _UNREADABLE as error:
        raise _fault(f"an episode that is none: {error!r}") from error


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
