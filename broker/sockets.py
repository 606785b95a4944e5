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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import zmq

from headrace.broker import zap
from headrace.broker.key_folder import ServerKey
from headrace.protocol.connections import CONNECTION_OPTIONS
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.headers import Frame
from headrace.protocol.limits import MIB, DecodeLimits

LINGER_MS = 500
_UNBIND_TIMEOUT_MS = 2000
_HANDSHAKE_MS = 5000
"""Who has not said by then who it is, is disconnected."""
_MAX_TOPIC_BYTES = 4096
"""Of a subscription, or of a step of the handshake; libzmq's memory of one is fifty times that."""
_ENDPOINTS: dict[str, tuple[int, dict[str, int]]] = {
    "ingest": (zmq.PULL, {"RCVHWM": 64}),
    "control": (zmq.XPUB, {"XPUB_MANUAL": 1, "SNDHWM": 1000}),
    "weights": (zmq.XPUB, {"XPUB_MANUAL": 1, "SNDHWM": 2}),
    "learner": (zmq.ROUTER, {"SNDHWM": 0}),
}
# Plain numbers: combining pyzmq's enumerations takes as long as sending a frame.
_NO_WAIT, _MORE, _SOURCE = int(zmq.NOBLOCK), int(zmq.SNDMORE), int(zmq.SRCFD)


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
        """Closes all, so that others may be bound to the same endpoints at once.

        Those that may come back do so within a second.
        """
        for name, socket in self.by_endpoint.items():
            closed = socket.get_monitor_socket(int(zmq.EVENT_CLOSED | zmq.EVENT_CLOSE_FAILED))
            socket.unbind(getattr(self.address, name))
            closed.poll(_UNBIND_TIMEOUT_MS)  # another thread closes the listener
            socket.disable_monitor()
            closed.close(linger=0)
            socket.close(linger=0)


def bind_sockets(
    context: zmq.Context[zmq.Socket[bytes]],
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
            socket = sockets[name] = context.socket(kind)
            is_subscribed_to = kind == zmq.XPUB
            socket.set(zmq.MAXMSGSIZE, _MAX_TOPIC_BYTES if is_subscribed_to else max_message_bytes)
            socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
            for option, value in (CONNECTION_OPTIONS | options).items():
                socket.set(getattr(zmq, option), value)
            if key is not None:
                serve_encrypted(socket, name, key)
            bound[name] = _bind(socket, getattr(address, name))
    except ConfigError:
        for socket in sockets.values():
            socket.close(linger=0)
        raise
    return BrokerSockets(address=dataclasses.replace(address, **bound), **sockets)


def bind_authenticator(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Returns the socket at which libzmq asks who may connect (zap.py).

    Raises:
        ConfigError: another broker in this process has it.
    """
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.LINGER, 0)
    try:
        socket.bind(zap.ENDPOINT)
    except zmq.ZMQError as error:
        socket.close()
        raise ConfigError(
            "another broker with keys runs in this ZeroMQ context: give each its own"
        ) from error
    return socket


def serve_encrypted(socket: zmq.Socket[bytes], endpoint: str, key: ServerKey) -> None:
    """Encrypts a socket's connections, and has it ask who may connect; before it is bound."""
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_PUBLICKEY, key.public_key.encode())
    socket.set(zmq.CURVE_SECRETKEY, key.secret_key.encode())
    socket.set(zmq.ZAP_DOMAIN, endpoint.encode())
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without it, nobody to ask means that all may connect


def receive(socket: zmq.Socket[bytes]) -> list[memoryview] | None:
    """Returns the next message, or None if there is none yet.

    pyzmq's own `recv_multipart` takes three times as long for two frames.
    """
    try:
        frame = socket.recv(_NO_WAIT, copy=False)
    except zmq.Again:
        return None
    frames = [frame.buffer]
    while frame.more:
        frame = socket.recv(_NO_WAIT, copy=False)
        frames.append(frame.buffer)
    return frames


def source_of(frames: Sequence[memoryview]) -> int:
    """Returns the file descriptor of the connection that a received message came from."""
    return int(cast("zmq.Frame", frames[0].obj).get(_SOURCE))


def send(socket: zmq.Socket[bytes], frames: Sequence[Frame]) -> None:
    """Sends a message. Frames that were received are shared with libzmq, and not copied."""
    for frame in frames[:-1]:
        _send_frame(socket, frame, _MORE)
    _send_frame(socket, frames[-1], 0)


def _send_frame(socket: zmq.Socket[bytes], frame: Frame, flags: int) -> None:
    if isinstance(frame, memoryview):
        socket.send(frame.obj, flags, copy=False)
    else:
        socket.send(frame, flags)


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    socket.set(zmq.IPV6, int("[" in endpoint))
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise ConfigError(
            f"cannot listen at {endpoint}: {error}; is another broker running there? "
            "Choose another address with --address"
        ) from error
    return socket.get_string(zmq.LAST_ENDPOINT)
