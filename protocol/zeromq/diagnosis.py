"""Finds out why an endpoint does not answer: name, port, protocol, keys, kind of socket.

A connection of its own reads the greeting of ZMTP 3 (RFC 23 and 37), which contains the security
mechanism, and then the socket's type, which a peer without keys sends next.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Literal

Kind = Literal["PULL", "XPUB", "ROUTER"]


@dataclass(frozen=True)
class Expected:
    """What should listen at an endpoint.

    Attributes:
        kind: the type of its socket.
        name: for the message.
    """

    kind: Kind
    name: str


INGEST = Expected("PULL", "a broker's ingest port, the lowest of its four")
CONTROL = Expected("XPUB", "a broker's control port, one above its address")
WEIGHTS = Expected("XPUB", "a broker's weights port, two above its address")
LEARNER = Expected("ROUTER", "a broker's learner port, three above its address")
POLICY_SERVER = Expected("ROUTER", "a policy server")

_TCP = re.compile(r"^tcp://\[?(?P<host>.+?)\]?:(?P<port>\d+)$")
_SIGNATURE = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
_GREETING_BYTES = 64
_MECHANISM = slice(12, 32)
_READY_BYTES = 512
_TYPE = re.compile(rb"Socket-Type\x00\x00\x00[\x01-\x20]([A-Z]+)")
_NOT_ZEROMQ = "it accepts connections, but does not speak ZeroMQ"
_FOUND = {
    "PULL": "a broker's ingest port",
    "XPUB": "a broker's control or weights port",
    "ROUTER": "a broker's learner port or a policy server",
}


def diagnose(endpoint: str, expected: Expected, *, has_keys: bool, timeout_s: float = 1.0) -> str:
    """Returns what may be wrong with an endpoint, as a clause; takes up to a few timeouts.

    Args:
        has_keys: whether this side connects with an invitation.
    """
    match = _TCP.match(endpoint)
    if match is None:
        return "nothing answers there"
    host, port = match["host"], int(match["port"])
    try:
        connection = socket.create_connection((host, port), timeout_s)
    except (socket.gaierror, UnicodeError):  # the latter for labels that are too long
        return f"the name {host!r} does not resolve"
    except ConnectionRefusedError:
        return "nothing listens there: is it running, and is the address right?"
    except ConnectionError:  # reset or aborted before this side knew that it was connected
        return _NOT_ZEROMQ
    except OSError:
        return "nothing answers there: the address may be wrong, or a firewall may be between"
    with connection:
        connection.settimeout(timeout_s)
        try:
            own = _greeting("CURVE" if has_keys else "NULL")
            # A peer that sees another mechanism hangs up: let it send its own before.
            connection.sendall(own[: _MECHANISM.start])
            greeting = _receive(connection, _GREETING_BYTES)
            connection.sendall(own[_MECHANISM.start :])
            return _judge(greeting, connection, expected, has_keys=has_keys)
        except OSError:
            return _NOT_ZEROMQ


def _judge(
    greeting: bytes, connection: socket.socket, expected: Expected, *, has_keys: bool
) -> str:
    if len(greeting) < _GREETING_BYTES or greeting[0] != _SIGNATURE[0]:
        return f"{_NOT_ZEROMQ}: is this an HTTP port?"
    mechanism = greeting[_MECHANISM].rstrip(b"\x00").decode("ascii", "replace")
    if mechanism == "CURVE" and not has_keys:
        return "it requires keys: join with an invitation, which `headrace invite` makes"
    if mechanism != "CURVE" and has_keys:
        return "it has no keys, but this side joins with an invitation: leave that out"
    if has_keys:
        return "it does not accept this invitation: revoked, or made for another broker?"
    found = _TYPE.search(_receive(connection, _READY_BYTES))
    kind = found[1].decode() if found is not None else expected.kind
    if kind != expected.kind:
        what = _FOUND.get(kind, f"a {kind} socket of another program")
        return f"this is {what}, where {expected.name}, is expected"
    return "it accepts connections, but does not answer: is it busy, or waiting for a learner?"


def _greeting(mechanism: str) -> bytes:
    """Returns the greeting of a ZMTP 3.1 client."""
    name = mechanism.encode().ljust(20, b"\x00")
    return (_SIGNATURE + b"\x03\x01" + name).ljust(_GREETING_BYTES, b"\x00")


def _receive(connection: socket.socket, count: int) -> bytes:
    """Returns up to `count` bytes, as many as arrive before the peer falls silent or closes."""
    received = b""
    while len(received) < count:
        try:
            chunk = connection.recv(count - len(received))
        except TimeoutError:
            break
        if not chunk:
            break
        received += chunk
    return received
