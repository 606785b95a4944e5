"""Answers ZeroMQ's question for each new connection: may this key use this endpoint?

ZAP is RFC 27. The socket that asks refuses the connection until it is answered, and whenever
nobody is there to answer (`ZAP_ENFORCE_DOMAIN`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq
from zmq.utils import z85

from headrace.broker.access.permissions import KeyedAccess
from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.client_socket import Context

ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_KEY_BYTES = 32


def answer(
    request: Sequence[bytes], access: KeyedAccess, is_quarantined: Callable[[str], bool]
) -> list[bytes]:
    """Returns the reply to a request, both without the envelope; never raises.

    The domain of each of the broker's sockets is its endpoint's name. Who is in quarantine gets a
    temporary error, upon which libzmq tries again.
    """
    if len(request) != 7 or request[0] != _VERSION:
        return [_VERSION, request[1] if len(request) > 1 else b"", b"500", b"not ZAP 1.0", b"", b""]
    _, request_id, domain, _address, _identity, mechanism, key = request
    peer = None
    if mechanism == b"CURVE" and len(key) == _KEY_BYTES:
        peer = access.admit(z85.encode(key).decode(), domain.decode("ascii", "replace"))
    if peer is None:
        return [_VERSION, request_id, b"400", b"this key may not do this", b"", b""]
    if is_quarantined(peer.name):
        return [_VERSION, request_id, b"300", b"in quarantine", b"", b""]
    return [_VERSION, request_id, b"200", b"OK", peer.name.encode(), b""]


def bind_authenticator(context: Context) -> zmq.Socket[bytes]:
    """Returns the socket at which libzmq asks who may connect.

    Raises:
        ConfigError: another broker in this process has it.
    """
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.LINGER, 0)
    try:
        socket.bind(ENDPOINT)
    except zmq.ZMQError as error:
        socket.close()
        raise ConfigError(
            "another broker with keys runs in this ZeroMQ context: give each its own"
        ) from error
    return socket
