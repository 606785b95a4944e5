"""The broker's four sockets.

* ingest, PULL: at the high-water mark senders block, as backpressure of last resort; credit keeps
  the fleet far below it.
* control, XPUB: a slow subscriber loses messages at the high-water mark, but delivery states are
  cumulative and repeated, so it loses nothing that matters. XPUB_MANUAL, so that the broker sees
  each subscription and applies only those that are permitted.
* weights, XPUB: a full pipe drops the *newest* version, so a broker never relies on it: an actor
  that stays behind is sent a snapshot.
* learner, ROUTER: no high-water mark, since a session's own lease credit bounds what it is sent. A
  message lost with its connection shows as a gap in the lease numbers, and ends the session.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import zmq

from headrace.broker.access.key_folder import ServerKey
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.limits import MIB, DecodeLimits
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.server_socket import (
    bind,
    close_at_once,
    make_server_socket,
    require_keys,
)

LINGER_MS = 500
_MAX_TOPIC_BYTES = 4096
"""Limit of a subscription or handshake step; libzmq stores each in about fifty times its size."""
ENDPOINTS: dict[str, tuple[int, dict[str, int]]] = {
    "ingest": (zmq.PULL, {"RCVHWM": 64}),
    "control": (zmq.XPUB, {"XPUB_MANUAL": 1, "SNDHWM": 1000, "MAXMSGSIZE": _MAX_TOPIC_BYTES}),
    "weights": (zmq.XPUB, {"XPUB_MANUAL": 1, "SNDHWM": 2, "MAXMSGSIZE": _MAX_TOPIC_BYTES}),
    "learner": (zmq.ROUTER, {"SNDHWM": 0}),
}
_ADVICE = "is another broker running there? Use --address to choose another"


@dataclass(frozen=True)
class BrokerSockets:
    """Bound sockets and their addresses."""

    ingest: zmq.Socket[bytes]
    control: zmq.Socket[bytes]
    weights: zmq.Socket[bytes]
    learner: zmq.Socket[bytes]
    address: BrokerAddress

    @property
    def by_endpoint(self) -> dict[str, zmq.Socket[bytes]]:
        """The four sockets by endpoint name."""
        return {name: getattr(self, name) for name in ENDPOINTS}

    def close(self) -> None:
        """Closes all sockets; pending messages are sent within half a second or dropped."""
        for socket in self.by_endpoint.values():
            socket.close(linger=LINGER_MS)

    def disconnect_all(self) -> None:
        """Closes all sockets so that the endpoints can be bound again at once."""
        for name, socket in self.by_endpoint.items():
            close_at_once(socket, getattr(self.address, name))


def bind_sockets(
    context: Context,
    address: BrokerAddress,
    limits: DecodeLimits,
    key: ServerKey | None = None,
) -> BrokerSockets:
    """Returns the four bound sockets; port 0 is replaced by the port that the system chose.

    Args:
        key: if given, only authenticated peers can connect, and traffic is encrypted.

    Raises:
        ConfigError: an endpoint cannot be bound; the message names it.
    """
    max_message_bytes = limits.max_payload_bytes + limits.max_header_bytes + MIB
    sockets: dict[str, zmq.Socket[bytes]] = {}
    bound: dict[str, str] = {}
    try:
        for name, (kind, options) in ENDPOINTS.items():
            socket = sockets[name] = make_server_socket(
                context, kind, {"MAXMSGSIZE": max_message_bytes} | options
            )
            if key is not None:
                require_keys(socket, name, key.public_key, key.secret_key)
            bound[name] = bind(socket, getattr(address, name), _ADVICE)
    except ConfigError:
        for socket in sockets.values():
            socket.close(linger=0)
        raise
    return BrokerSockets(address=dataclasses.replace(address, **bound), **sockets)
