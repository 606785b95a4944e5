"""The broker's endpoints, and which peers may be connected to them."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence

import zmq

from headrace.broker.access.authenticator import Authenticator
from headrace.broker.host.accept_filter import AcceptFilter
from headrace.broker.host.capacity import (
    Capacity,
    CapacityWatch,
    max_open_files,
    may_be_full,
    open_files,
)
from headrace.broker.host.flood_watch import FloodWatch
from headrace.broker.host.peer_connections import shut_down
from headrace.broker.transport.sockets import BrokerSockets, bind_sockets
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.frames import source_of

_LOG = logging.getLogger("headrace.broker")
_LOOK_EVERY_S = 1.0
_PORT = re.compile(r":(\d+)$")

Readable = zmq.Socket[bytes] | int


class BrokerEndpoints:
    """Bound once constructed. In the loop call `poll`, `admit_by_capacity` and `refresh_keys`.

    Attributes:
        authenticator: decides which peers may connect.
        sockets: replaced by each `refresh_keys` that disconnects every peer.
    """

    def __init__(
        self,
        context: Context,
        address: BrokerAddress,
        limits: DecodeLimits,
        authenticator: Authenticator,
    ) -> None:
        self._context = context
        self._limits = limits
        self.authenticator = authenticator
        self._also: list[int] = []
        self._capacity = CapacityWatch(max_open_files())
        self._count_due_s = float("-inf")
        self._refresh_due_s = float("-inf")
        self._rounds = 0
        self._hung_up: set[tuple[str, int]] = set()
        self.sockets = self._bind(address)
        bound = self.sockets.address
        subscribed_to = _ports_of((bound.control, bound.weights))
        self._flood_watch = FloodWatch(subscribed_to, lambda: self._rounds)

    def also_poll(self, fd: int) -> None:
        """Makes `poll` also return when a file descriptor is readable."""
        self._also.append(fd)
        self._poller.register(fd, zmq.POLLIN)

    def poll(self, timeout_ms: int) -> set[Readable]:
        """Waits up to `timeout_ms`; returns what is readable."""
        self._rounds += 1
        return {readable for readable, _ in self._poller.poll(timeout_ms)}

    def shut_down(self, name: str, frames: Sequence[memoryview]) -> None:
        """Shuts down the connection that an authenticated peer's message came from.

        Only once: the descriptor of messages still in flight may belong to another peer by now.
        """
        source = (name, source_of(frames))
        if source not in self._hung_up:
            self._hung_up.add(source)
            shut_down(source[1])

    def admit_by_capacity(self, now_s: float) -> None:
        """Stops admitting peers when the process runs out of file descriptors, and resumes later.

        At the limit a listener cannot accept, yet never stops trying, which would take a whole core
        from the connected peers.
        """
        watch = self._capacity
        if now_s < self._count_due_s and (watch.is_full or not may_be_full(watch.max_open_files)):
            return
        self._count_due_s = now_s + _LOOK_EVERY_S
        count = open_files()
        match watch.judge(count) if count is not None else Capacity.UNCHANGED:
            case Capacity.NEARLY_FULL:
                _LOG.warning(
                    "%d of %d file descriptors are in use, and each connection needs one: raise "
                    "the limit (ulimit -n) before more actors join",
                    count,
                    watch.max_open_files,
                )
            case Capacity.FULL:
                _LOG.error("refusing new connections: %d file descriptors are in use", count)
                self._accept_filter.refuse()
            case Capacity.HAS_ROOM:
                _LOG.warning("peers can connect again: %d file descriptors are in use", count)
                self._accept_filter.admit()
            case Capacity.UNCHANGED:
                pass

    def refresh_keys(self, now_s: float) -> bool:
        """Reloads the invitations once a second, and disconnects every peer if one was revoked.

        Returns:
            Whether permissions may have changed.
        """
        if now_s < self._refresh_due_s:
            return False
        self._refresh_due_s = now_s + _LOOK_EVERY_S
        self._hung_up.clear()
        if self.authenticator.refresh():
            _LOG.warning("an invitation was revoked: every peer reconnects")
            self._accept_filter.close()
            self.sockets.disconnect_all()
            self.sockets = self._bind(self.sockets.address)
        return True

    def close(self) -> None:
        """Closes the sockets and the authenticator."""
        self._flood_watch.stop()
        self._accept_filter.close()
        self.sockets.close()
        self.authenticator.close()

    def _bind(self, address: BrokerAddress) -> BrokerSockets:
        sockets = bind_sockets(self._context, address, self._limits, self.authenticator.key)
        self._accept_filter = AcceptFilter(_ports_of(dataclasses.astuple(sockets.address)))
        self.authenticator.watch(sockets.by_endpoint)
        self._poller = zmq.Poller()
        for socket in (*sockets.by_endpoint.values(), *self.authenticator.polled):
            self._poller.register(socket, zmq.POLLIN)
        for fd in self._also:
            self._poller.register(fd, zmq.POLLIN)
        return sockets


def _ports_of(endpoints: Sequence[str]) -> list[int]:
    """Returns the ports of TCP endpoints; endpoints of other transports have none."""
    return [int(match[1]) for match in map(_PORT.search, endpoints) if match]
