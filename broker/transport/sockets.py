"""The broker's four sockets.

* ingest, PULL: at the high-water mark senders block, which is backpressure of last resort; credit
  keeps the fleet far below it.
* control, XPUB: a slow subscriber loses messages at the mark; delivery states are cumulative and
  repeated, so it loses nothing that matters. MANUAL, so that each subscription is seen, and
  nobody is sent what they may not have.
* weights, XPUB: a full pipe drops the *newest* version, so a broker never relies on it: whoever
  stays behind is sent a snapshot.
* learner, ROUTER: no mark, since what a session may be sent is bounded by its own lease credit.
  A message lost with its connection shows as a gap in the lease numbers, and ends the session.
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
"""Of a subscription, or of a step of the handshake; libzmq's memory of one is fifty times that."""
_ENDPOINTS: dict[str, tuple[int, dict[str, int]]] = {
    "ingest": (zmq.PULL, {"RCVHWM": 64}),
    "control": (zmq.XPUB, {"XPUB_MANUAL": 1, "SNDHWM": 1000, "MAXMSGSIZE": _MAX_TOPIC_BYTES}),
    "weights": (zmq.XPUB, {"XPUB_MANUAL": 1, "SNDHWM": 2, "MAXMSGSIZE": _MAX_TOPIC_BYTES}),
    "learner": (zmq.ROUTER, {"SNDHWM": 0}),
}
_ADVICE = "is another broker running there? Choose another address with --address"


@dataclass(frozen=True)
class BrokerSockets:
    """Bound sockets, and where they are bound."""

    ingest: zmq.Socket[bytes]
    control: zmq.Socket[bytes]
    weights: zmq.Socket[bytes]
    learner: zmq.Socket[bytes]
    address: BrokerAddress

    @property
    def by_endpoint(self) -> dict[str, zmq.Socket[bytes]]:
        """The four sockets by the names of their endpoints."""
        return {name: getattr(self, name) for name in _ENDPOINTS}

    def close(self) -> None:
        """Closes all; what is under way leaves within half a second or never."""
        for socket in self.by_endpoint.values():
            socket.close(linger=LINGER_MS)

    def disconnect_all(self) -> None:
        """Closes all, so that others may be bound to the same endpoints at once."""
        for name, socket in self.by_endpoint.items():
            close_at_once(socket, getattr(self.address, name))


def bind_sockets(
    context: Context,
    address: BrokerAddress,
    limits: DecodeLimits,
    key: ServerKey | None = None,
) -> BrokerSockets:
    """Returns the four sockets, bound; port 0 becomes the port that the system chose.

    Args:
        key: with it, only peers connect that are authenticated, and traffic is encrypted.

    Raises:
        ConfigError: an endpoint cannot be bound; the sentence names it.
    """
    max_message_bytes = limits.max_payload_bytes + limits.max_header_bytes + MIB
    sockets: dict[str, zmq.Socket[bytes]] = {}
    bound: dict[str, str] = {}
    try:
        for name, (kind, options) in _ENDPOINTS.items():
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
