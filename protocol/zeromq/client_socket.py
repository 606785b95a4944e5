"""Sockets that connect: detection of dead connections, reconnection and keys."""

from __future__ import annotations

from collections.abc import Mapping

import zmq

from headrace.protocol.invitation import Invitation
from headrace.protocol.zeromq.options import CONNECTION_OPTIONS, RECONNECT_OPTIONS

Context = zmq.Context[zmq.Socket[bytes]]


def make_client_socket(
    context: Context,
    kind: int,
    endpoint: str,
    options: Mapping[str, int],
    invitation: Invitation | None = None,
) -> zmq.Socket[bytes]:
    """Returns a socket that is ready to `connect` to `endpoint`.

    Args:
        options: further socket options by name, such as high-water marks.
        invitation: encrypts the connection, and authenticates it as the invited peer.
    """
    made = context.socket(kind)
    for name, value in {**CONNECTION_OPTIONS, **RECONNECT_OPTIONS, **options}.items():
        made.set(getattr(zmq, name), value)
    made.set(zmq.IPV6, int("[" in endpoint))
    if invitation is not None:
        encrypt(made, invitation)
    return made


def encrypt(socket: zmq.Socket[bytes], invitation: Invitation) -> None:
    """Encrypts the connections that a socket will make."""
    secret = invitation.secret_key.encode()
    socket.set(zmq.CURVE_SERVERKEY, invitation.server_key.encode())
    socket.set(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret))
    socket.set(zmq.CURVE_SECRETKEY, secret)
