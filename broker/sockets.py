"""The broker's four sockets.

* ingest, PULL: at the high-water mark senders block, which is backpressure of last resort; credit
  keeps the fleet far below it.
* control, XPUB: a slow subscriber loses messages at the mark; delivery states are cumulative and
  repeated, so it loses nothing that matters. VERBOSE, because without it a subscription that
  replaces one of a hanging connection stays invisible.
* weights, XPUB: a full pipe drops the *newest* version, so a broker never relies on it: whoever
  stays behind is sent a snapshot.
* learner, ROUTER: no mark, since what a session may be sent is bounded by its own lease credit.
  A message lost with its connection shows as a gap in the lease numbers, and ends the session.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import zmq

from headrace.protocol.connections import CONNECTION_OPTIONS
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.headers import Frame
from headrace.protocol.limits import MIB, DecodeLimits

INGEST_HWM = 64
CONTROL_HWM = 1000
WEIGHTS_HWM = 2
LINGER_MS = 500
# Plain numbers: combining pyzmq's enumerations takes as long as sending a frame.
_NO_WAIT, _MORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)


@dataclass(frozen=True)
class BrokerSockets:
    """Bound sockets, and where they are bound."""

    ingest: zmq.Socket[bytes]
    control: zmq.Socket[bytes]
    weights: zmq.Socket[bytes]
    learner: zmq.Socket[bytes]
    address: BrokerAddress

    @property
    def all(self) -> tuple[zmq.Socket[bytes], ...]:
        """The four sockets."""
        return self.ingest, self.control, self.weights, self.learner

    def close(self) -> None:
        """Closes all; what is under way leaves within half a second or never."""
        for socket in self.all:
            socket.close(linger=LINGER_MS)


def bind_sockets(
    context: zmq.Context[zmq.Socket[bytes]], address: BrokerAddress, limits: DecodeLimits
) -> BrokerSockets:
    """Returns the four sockets, bound; port 0 becomes the port that the system chose.

    Raises:
        ConfigError: an endpoint cannot be bound; the sentence names it.
    """
    max_message_bytes = limits.max_payload_bytes + limits.max_header_bytes + MIB
    ingest = _socket(context, zmq.PULL, max_message_bytes)
    ingest.set(zmq.RCVHWM, INGEST_HWM)
    control = _socket(context, zmq.XPUB, max_message_bytes)
    control.set(zmq.XPUB_VERBOSE, 1)
    control.set(zmq.SNDHWM, CONTROL_HWM)
    weights = _socket(context, zmq.XPUB, max_message_bytes)
    weights.set(zmq.XPUB_VERBOSE, 1)
    weights.set(zmq.SNDHWM, WEIGHTS_HWM)
    learner = _socket(context, zmq.ROUTER, max_message_bytes)
    learner.set(zmq.SNDHWM, 0)
    sockets = {"ingest": ingest, "control": control, "weights": weights, "learner": learner}
    bound: dict[str, str] = {}
    try:
        for name, socket in sockets.items():
            bound[name] = _bind(socket, getattr(address, name))
    except ConfigError:
        for socket in sockets.values():
            socket.close(linger=0)
        raise
    return BrokerSockets(address=dataclasses.replace(address, **bound), **sockets)


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


def _socket(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, max_message_bytes: int
) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.set(zmq.MAXMSGSIZE, max_message_bytes)
    for name, value in CONNECTION_OPTIONS.items():
        socket.set(getattr(zmq, name), value)
    return socket


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
