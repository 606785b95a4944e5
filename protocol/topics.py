"""Subscription topics: a kind byte, an id and NUL.

ZeroMQ matches topics by prefix; without the closing NUL, actor `a1` would also receive messages
for `a10`.
"""

from __future__ import annotations

from collections.abc import Callable

BEACON = b"b\0"


def delivery_topic(actor: str) -> bytes:
    """Returns the topic of `actor`'s delivery states and rejects, on the control endpoint."""
    return b"d" + actor.encode() + b"\0"


def snapshot_topic(actor: str) -> bytes:
    """Returns the topic of `actor`'s snapshots, on the weights endpoint."""
    return b"s" + actor.encode() + b"\0"


def weights_topic(run: str) -> bytes:
    """Returns the topic of the weights of `run`, on the weights endpoint."""
    return b"w" + run.encode() + b"\0"


def actor_of(topic: bytes, make_topic: Callable[[str], bytes]) -> str | None:
    """Returns the actor that `topic` names under `make_topic`, or None for any other topic."""
    try:
        actor = topic[1:-1].decode("ascii")
    except UnicodeDecodeError:
        return None
    return actor if actor and make_topic(actor) == topic else None
