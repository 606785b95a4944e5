"""The broker's sockets, and all that decides who may be connected to them."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence

import zmq

from headrace.broker.access.authenticator import Gate
from headrace.broker.host.accept_filter import Listeners
from headrace.broker.host.capacity import (
    Capacity,
    CapacityWatch,
    max_open_files,
    may_be_full,
    open_files,
)
from headrace.broker.host.flood_watch import FloodWatch
from headrace.broker.host.peer_connections import hang_up
from headrace.broker.transport.sockets import BrokerSockets, bind_sockets
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.limits import DecodeLimits
from headrace.protocol.zeromq.client_socket import Context
from headrace.protocol.zeromq.frames import source_of

_LOG = logging.getLogger("headrace.broker")
_LOOK_EVERY_S = 1.0
_PORT = re.compile(r":(\d+)$")

Readable = zmq.Socket[bytes] | int


class Doors:
    """Open once constructed. In the broker's loop call `poll`, then `look`.

    Attributes:
        gate: whom to let in.
        sockets: others after each `look` that had to disconnect everybody.
    """

    def __init__(
        self,
        context: Context,
        address: BrokerAddress,
        limits: DecodeLimits,
        gate: Gate,
    ) -> None:
        self._context = context
        self._limits = limits
        self.gate = gate
        self._also: list[int] = []
        self._capacity = CapacityWatch(max_open_files())
        self._look_due_s = float("-inf")
        self._rounds = 0
        self._hung_up: set[tuple[str, int]] = set()
        self.sockets = self._bind(address)
        bound = self.sockets.address
        subscribed_to = _ports_of((bound.control, bound.weights))
        self._flood_watch = FloodWatch(subscribed_to, lambda: self._rounds)

    def also_poll(self, fd: int) -> None:
        """Has `poll` return when something else is readable, too."""
        self._also.append(fd)
        self._poller.register(fd, zmq.POLLIN)

    def poll(self, timeout_ms: int) -> set[Readable]:
        """Returns what is readable, at the latest after a while."""
        self._rounds += 1
        return {readable for readable, _ in self._poller.poll(timeout_ms)}

    def hang_up(self, name: str, frames: Sequence[memoryview]) -> None:
        """Ends the connection that a message of an authenticated peer came from.

        Once: what it still had under way comes from a file that may be another one's by now.
        """
        source = (name, source_of(frames))
        if source not in self._hung_up:
            self._hung_up.add(source)
            hang_up(source[1])

    def look(self, now_s: float) -> bool:
        """Admits peers as far as there are files for them; once a second, lets out who was revoked.

        Returns:
            Whether somebody may have other rights now.
        """
        is_due = now_s >= self._look_due_s
        if is_due or (not self._capacity.is_full and may_be_full(self._capacity.max_open_files)):
            self._look_at_capacity()
        if not is_due:
            return False
        self._look_due_s = now_s + _LOOK_EVERY_S
        self._hung_up.clear()
        if self.gate.refresh():
            _LOG.warning("somebody was revoked: all connect anew")
            self._listeners.close()
            self.sockets.disconnect_all()
            self.sockets = self._bind(self.sockets.address)
        return True

    def close(self) -> None:
        """Lets nobody in any more."""
        self._flood_watch.stop()
        self._listeners.close()
        self.sockets.close()
        self.gate.close()

    def _bind(self, address: BrokerAddress) -> BrokerSockets:
        sockets = bind_sockets(self._context, address, self._limits, self.gate.key)
        self._listeners = Listeners(_ports_of(dataclasses.astuple(sockets.address)))
        self._poller = zmq.Poller()
        for socket in (*sockets.by_endpoint.values(), self.gate.requests):
            if socket is not None:
                self._poller.register(socket, zmq.POLLIN)
        for fd in self._also:
            self._poller.register(fd, zmq.POLLIN)
        return sockets

    def _look_at_capacity(self) -> None:
        """Lets nobody in while there are as many connections as the system allows.

        At the limit a listener cannot accept and does not stop trying, which would take a whole
        core from the peers that are there.
        """
        count = open_files()
        watch = self._capacity
        match watch.judge(count) if count is not None else Capacity.UNCHANGED:
            case Capacity.NEARLY_FULL:
                _LOG.warning(
                    "%d of %d files are open, and each connection needs one: raise the limit "
                    "(ulimit -n) before more actors come",
                    count,
                    watch.max_open_files,
                )
            case Capacity.FULL:
                _LOG.error("nobody can connect any more: %d files are open", count)
                self._listeners.refuse()
            case Capacity.HAS_ROOM:
                _LOG.warning("peers can connect again: %d files are open", count)
                self._listeners.admit()
            case Capacity.UNCHANGED:
                pass


def _ports_of(endpoints: Sequence[str]) -> list[int]:
    """Returns the TCP ports; endpoints of other transports have none."""
    return [int(match[1]) for match in map(_PORT.search, endpoints) if match]
