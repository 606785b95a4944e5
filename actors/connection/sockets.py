"""The sockets of a client."""

from __future__ import annotations

import zmq

from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.invitation import Invitation
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic
from headrace.protocol.zeromq.client_socket import Context, make_client_socket

_LINGER_MS = 500
_PUSH_HWM = 8
_CONTROL_HWM = 1000
_WEIGHTS_HWM = 2


class ClientSockets:
    """PUSH to ingest, SUB to control and weights.

    PUSH blocks at a low high-water mark, so that batches stay here instead of in the pipe to a
    broker that is gone; `disconnections` becomes readable when its connection is lost. SUB control
    may lose messages, which are cumulative. SUB weights drops the newest message at its high-water
    mark; the client's thread drains it, so that it stays below.

    Attributes:
        address: the broker's.
        has_keys: whether the connections are encrypted.
    """

    def __init__(
        self,
        context: Context,
        address: BrokerAddress,
        actor: str,
        invitation: Invitation | None = None,
    ) -> None:
        def make(kind: int, endpoint: str, options: dict[str, int]) -> zmq.Socket[bytes]:
            return make_client_socket(context, kind, endpoint, options, invitation)

        self.push = make(zmq.PUSH, address.ingest, {"SNDHWM": _PUSH_HWM})
        self.disconnections = self.push.get_monitor_socket(int(zmq.EVENT_DISCONNECTED))
        self.control = make(zmq.SUB, address.control, {"RCVHWM": _CONTROL_HWM})
        self.weights = make(zmq.SUB, address.weights, {"RCVHWM": _WEIGHTS_HWM})
        self.address = address
        self.has_keys = invitation is not None
        self._weights_topic: bytes | None = None
        self.control.subscribe(delivery_topic(actor))
        self.control.subscribe(BEACON)
        self.weights.subscribe(snapshot_topic(actor))
        self.push.connect(address.ingest)
        self.control.connect(address.control)
        self.weights.connect(address.weights)

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
        """Drops the connection to an endpoint, with messages in flight, and connects again."""
        socket = {"ingest": self.push, "control": self.control, "weights": self.weights}[endpoint]
        address = getattr(self.address, endpoint)
        socket.set(zmq.LINGER, 0)
        socket.disconnect(address)
        socket.connect(address)

    def close(self) -> None:
        """Disconnects; PUSH lingers for half a second."""
        self.push.disable_monitor()
        self.disconnections.close(linger=0)
        self.push.close(linger=_LINGER_MS)
        self.control.close(linger=0)
        self.weights.close(linger=0)
