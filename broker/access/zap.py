"""Answers libzmq's authentication requests (ZAP, RFC 27): may this key use this endpoint?

A socket refuses a connection until its request is answered, and also when no handler is bound
(`ZAP_ENFORCE_DOMAIN`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq
from zmq.utils import z85

from headrace.broker.access.permissions import KeyPermissions
from headrace.protocol.errors import ConfigError
from headrace.protocol.zeromq.client_socket import Context

ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_KEY_BYTES = 32


def answer(
    request: Sequence[bytes],
    permissions: KeyPermissions,
    is_quarantined: Callable[[str], bool],
    on_refused: Callable[[str, str, str], None],
) -> list[bytes]:
    """Returns the reply to a request, both without the envelope; never raises.

    The ZAP domain of each broker socket is its endpoint's name. A quarantined peer gets a temporary
    error, after which libzmq retries.

    Args:
        on_refused: called with key, endpoint and address if the key may not use the endpoint.
    """
    if len(request) != 7 or request[0] != _VERSION:
        return [_VERSION, request[1] if len(request) > 1 else b"", b"500", b"not ZAP 1.0", b"", b""]
    _, request_id, domain, address, _identity, mechanism, key = request
    if mechanism != b"CURVE" or len(key) != _KEY_BYTES:
        return [_VERSION, request_id, b"400", b"not permitted", b"", b""]
    public_key, endpoint = z85.encode(key).decode(), domain.decode("ascii", "replace")
    peer = permissions.peer_of(public_key, endpoint)
    if peer is None:
        on_refused(public_key, endpoint, address.decode("ascii", "replace"))
        return [_VERSION, request_id, b"400", b"not permitted", b"", b""]
    if is_quarantined(peer.name):
        return [_VERSION, request_id, b"300", b"quarantined", b"", b""]
    return [_VERSION, request_id, b"200", b"OK", peer.name.encode(), b""]


def bind_authenticator(context: Context) -> zmq.Socket[bytes]:
    """Returns the socket that receives libzmq's ZAP requests.

    Raises:
        ConfigError: another broker in this ZeroMQ context has bound it.
    """
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.LINGER, 0)
    try:
        socket.bind(ENDPOINT)
    except zmq.ZMQError as error:
        socket.close()
        raise ConfigError(
            "another broker with keys runs in this ZeroMQ context: give each a context of its own"
        ) from error
    return socket
