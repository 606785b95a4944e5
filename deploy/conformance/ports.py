"""The scripted broker's sockets, which are the real broker's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

import zmq

from headrace.broker.transport.sockets import BrokerSockets, bind_sockets
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.limits import DEFAULT_LIMITS

Context = zmq.Context[zmq.Socket[bytes]]

_TICK_MS = 10
_LAST_PORT = 30_000


class Ports:
    """The first four consecutive free ports at or above `first_port`.

    Other scripted brokers on this machine leave them alone, even while `rebind` has freed them: UDP
    sockets with the same numbers reserve them.

    Attributes:
        topics: current subscriptions on both XPUB endpoints.
    """

    def __init__(self, context: Context, first_port: int) -> None:
        self._context = context
        self._reserved, self._sockets = _bind_in_a_row(context, first_port)
        self.topics: set[bytes] = set()

    @property
    def address(self) -> str:
        """The base address for the client."""
        return self._sockets.address.ingest

    def poll(self) -> tuple[list[bytes], list[list[bytes]]]:
        """Waits briefly; returns newly subscribed topics, and messages of actors."""
        sockets = self._sockets
        poller = zmq.Poller()
        for receiver in (sockets.ingest, sockets.control, sockets.weights):
            poller.register(receiver, zmq.POLLIN)
        ready = dict(poller.poll(_TICK_MS))
        asked = [
            topic
            for publisher in (sockets.control, sockets.weights)
            if publisher in ready
            for topic in self._subscribe(publisher)
        ]
        messages = [sockets.ingest.recv_multipart()] if sockets.ingest in ready else []
        return asked, messages

    def _subscribe(self, publisher: zmq.Socket[bytes]) -> Iterator[bytes]:
        frame = publisher.recv()
        is_on, topic = frame[:1] == b"\1", frame[1:]
        publisher.set(zmq.SUBSCRIBE if is_on else zmq.UNSUBSCRIBE, topic)
        if is_on:
            self.topics.add(topic)
            yield topic
        else:
            self.topics.discard(topic)

    def send_control(self, topic: bytes, frames: Sequence[bytes]) -> None:
        """Publishes on the control endpoint."""
        self._sockets.control.send_multipart([topic, *frames])

    def send_weights(self, topic: bytes, frames: Sequence[bytes]) -> None:
        """Publishes on the weights endpoint."""
        self._sockets.weights.send_multipart([topic, *frames])

    def rebind(self) -> None:
        """Drops every connection and everything in flight, and binds the same ports again."""
        address = self._sockets.address
        self._sockets.disconnect_all()
        self.topics.clear()
        self._sockets = bind_sockets(self._context, address, DEFAULT_LIMITS)

    def close(self) -> None:
        """Frees the ports."""
        self._sockets.disconnect_all()
        self._reserved.close()


def _bind_in_a_row(context: Context, first_port: int) -> tuple[contextlib.ExitStack, BrokerSockets]:
    for port in range(first_port, _LAST_PORT, 4):
        with contextlib.suppress(OSError, ConfigError), contextlib.ExitStack() as reserved:
            for number in range(port, port + 4):
                reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                reserved.enter_context(reservation).bind(("127.0.0.1", number))
            address = BrokerAddress.parse(f"tcp://127.0.0.1:{port}")
            sockets = bind_sockets(context, address, DEFAULT_LIMITS)
            return reserved.pop_all(), sockets
    raise ConfigError(f"no four consecutive free ports from {first_port} on")
