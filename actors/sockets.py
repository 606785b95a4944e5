"""The sockets of a client, and a pair that wakes the thread which owns them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence

import zmq

from headrace.protocol.connections import CONNECTION_OPTIONS, RECONNECT_OPTIONS
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.invitation import Invitation
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic

Context = zmq.Context[zmq.Socket[bytes]]

_LINGER_MS = 500
_PUSH_HWM = 8
_WEIGHTS_HWM = 2
_NO_WAIT, _MORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)


class ClientSockets:
    """PUSH to ingest, SUB to control and weights.

    PUSH blocks at a low mark, so that what a broker that went away will never read stays here and
    not in pipes; `disconnections` is readable once its connection was lost. SUB control may lose
    messages: they are cumulative. SUB weights drops the newest at its mark, which draining in a
    thread of its own keeps it below.
    """

    def __init__(
        self,
        context: Context,
        address: BrokerAddress,
        actor: str,
        invitation: Invitation | None = None,
    ) -> None:
        self.push = _socket(context, zmq.PUSH, {"SNDHWM": _PUSH_HWM}, invitation)
        self.disconnections = self.push.get_monitor_socket(int(zmq.EVENT_DISCONNECTED))
        self.control = _socket(context, zmq.SUB, {"RCVHWM": 1000}, invitation)
        self.weights = _socket(context, zmq.SUB, {"RCVHWM": _WEIGHTS_HWM}, invitation)
        self._address = address
        self._weights_topic: bytes | None = None
        self.control.subscribe(delivery_topic(actor))
        self.control.subscribe(BEACON)
        self.weights.subscribe(snapshot_topic(actor))
        for socket, endpoint in (
            (self.push, address.ingest),
            (self.control, address.control),
            (self.weights, address.weights),
        ):
            socket.set(zmq.IPV6, int("[" in endpoint))
            socket.connect(endpoint)

    def subscribe_weights(self, run: str) -> None:
        """Subscribes to the weights of `run` and of no other."""
        topic = weights_topic(run)
        if topic == self._weights_topic:
            return
        if self._weights_topic is not None:
            self.weights.unsubscribe(self._weights_topic)
        self.weights.subscribe(topic)
        self._weights_topic = topic

    def reconnect(self, endpoint: str) -> None:
        """Drops the connection to an endpoint, with what is under way, and makes another one."""
        socket = {"ingest": self.push, "control": self.control, "weights": self.weights}[endpoint]
        address = getattr(self._address, endpoint)
        socket.set(zmq.LINGER, 0)
        socket.disconnect(address)
        socket.connect(address)

    def close(self) -> None:
        """Disconnects; what is under way may leave within half a second."""
        self.push.disable_monitor()
        self.disconnections.close(linger=0)
        self.push.close(linger=_LINGER_MS)
        self.control.close(linger=0)
        self.weights.close(linger=0)


def dealer(
    context: Context, endpoint: str, invitation: Invitation | None = None
) -> zmq.Socket[bytes]:
    """Returns a DEALER that is connected to a policy server, or will be once there is one.

    Raises:
        ConfigError: that is no endpoint.
    """
    made = _socket(context, zmq.DEALER, {"LINGER": 0, "IPV6": int("[" in endpoint)}, invitation)
    try:
        made.connect(endpoint)
    except zmq.ZMQError as error:
        made.close(linger=0)
        raise ConfigError(f"cannot connect to {endpoint!r}: {error}") from error
    return made


def _socket(
    context: Context, kind: int, marks: dict[str, int], invitation: Invitation | None
) -> zmq.Socket[bytes]:
    made = context.socket(kind)
    for name, value in (CONNECTION_OPTIONS | RECONNECT_OPTIONS | marks).items():
        made.set(getattr(zmq, name), value)
    if invitation is not None:
        secure(made, invitation)
    return made


def secure(socket: zmq.Socket[bytes], invitation: Invitation) -> None:
    """Encrypts what a socket will connect to."""
    secret = invitation.secret_key.encode()
    socket.set(zmq.CURVE_SERVERKEY, invitation.server_key.encode())
    socket.set(zmq.CURVE_PUBLICKEY, zmq.curve_public(secret))
    socket.set(zmq.CURVE_SECRETKEY, secret)


class WakePair:
    """Wakes a poll loop from other threads, which take turns under a lock of theirs."""

    def __init__(self, context: Context) -> None:
        endpoint = f"inproc://headrace-wake-{secrets.token_hex(8)}"
        self.receive, self._send = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self.receive.bind(endpoint)
        self._send.set(zmq.SNDHWM, 8)
        self._send.connect(endpoint)

    def wake(self) -> None:
        """Wakes the loop."""
        with contextlib.suppress(zmq.Again):  # then it has enough reasons to wake up already
            self._send.send(b"", zmq.NOBLOCK)

    def close(self) -> None:
        """Closes both ends; the loop has ended."""
        self._send.close(linger=0)
        self.receive.close(linger=0)


def drain(source: zmq.Socket[bytes]) -> list[Sequence[bytes]]:
    """Returns all messages that have arrived."""
    received: list[Sequence[bytes]] = []
    while True:
        try:
            received.append(receive(source))
        except zmq.Again:
            return received


def receive(source: zmq.Socket[bytes]) -> list[bytes]:
    """Returns the next message, in two thirds of the time of pyzmq's own `recv_multipart`.

    Raises:
        zmq.Again: none has arrived.
    """
    frame = source.recv(_NO_WAIT, copy=False)
    frames = [frame.bytes]
    while frame.more:
        frame = source.recv(_NO_WAIT, copy=False)
        frames.append(frame.bytes)
    return frames


def send(sink: zmq.Socket[bytes], frames: Sequence[bytes]) -> None:
    """Sends a message, in half of the time of pyzmq's own `send_multipart`."""
    for frame in frames[:-1]:
        sink.send(frame, _MORE)
    sink.send(frames[-1])
