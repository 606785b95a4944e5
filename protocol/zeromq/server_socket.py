"""Sockets that bind: keys, a handshake timeout for strangers, and disconnecting all peers."""

from __future__ import annotations

from collections.abc import Mapping

import zmq

from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.options import CONNECTION_OPTIONS

_UNBIND_TIMEOUT_MS = 2000
_HANDSHAKE_MS = 5000
"""A peer that has not finished its handshake in this time is disconnected."""


def make_server_socket(
    context: Context, kind: int, options: Mapping[str, int]
) -> zmq.Socket[bytes]:
    """Returns a socket that is ready to `bind`.

    Args:
        options: further socket options by name: `MAXMSGSIZE`, high-water marks, ….
    """
    made = context.socket(kind)
    made.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    for name, value in {**CONNECTION_OPTIONS, **options}.items():
        made.set(getattr(zmq, name), value)
    return made


def require_keys(socket: zmq.Socket[bytes], domain: str, public_key: str, secret_key: str) -> None:
    """Encrypts a socket's connections, and has libzmq authenticate each one (ZAP, RFC 27).

    Call it before `bind`. Keys are in Z85; `domain` names the socket to the authenticator.
    """
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_PUBLICKEY, public_key.encode())
    socket.set(zmq.CURVE_SECRETKEY, secret_key.encode())
    socket.set(zmq.ZAP_DOMAIN, domain.encode())
    # Without it, libzmq admits every peer while there is no authenticator.
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)


def bind(socket: zmq.Socket[bytes], endpoint: str, advice: str) -> str:
    """Binds a socket, and returns the endpoint; port 0 becomes the port that the system chose.

    Args:
        advice: what the user can do if binding fails, as the end of a sentence.

    Raises:
        ConfigError: the endpoint cannot be bound.
    """
    socket.set(zmq.IPV6, int("[" in endpoint))
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise ConfigError(f"cannot listen at {endpoint}: {error}; {advice}") from error
    return socket.get_string(zmq.LAST_ENDPOINT)


def close_at_once(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Disconnects all peers, and returns once another socket can be bound to the endpoint.

    Peers that are still admitted reconnect within a second.
    """
    closed = socket.get_monitor_socket(int(zmq.EVENT_CLOSED | zmq.EVENT_CLOSE_FAILED))
    socket.unbind(endpoint)
    closed.poll(_UNBIND_TIMEOUT_MS)  # another thread closes the listener
    socket.disable_monitor()
    closed.close(linger=0)
    socket.close(linger=0)
