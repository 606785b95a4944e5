"""One TCP port for any number of RLlib's own external clients, each an actor to the broker."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any, cast

from headrace.actors.connection.client import Client
from headrace.actors.rllib.rllink_messages import read_message
from headrace.actors.rllib.rllink_session import MakeConfig, RLlinkSession
from headrace.protocol.errors import HeadraceError

_LOG = logging.getLogger("headrace.rllink")

OpenClient = Callable[[int], Client]
"""Connects an actor to the broker, for the connection of that number."""


class RLlinkGateway(socketserver.ThreadingTCPServer):
    """Listens once constructed; `run` serves until `stop`, with one thread per connection.

    RLlink has neither encryption nor authentication: every peer that reaches the port is served.
    """

    allow_reuse_address = True
    daemon_threads = False

    def __init__(
        self,
        listen: tuple[str, int],
        open_client: OpenClient,
        make_config: MakeConfig,
        *,
        max_clients: int = 256,
    ) -> None:
        """Binds; OSError if the address is in use."""
        if ":" in listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(listen, _Connection)
        self._open_client = open_client
        self._make_config = make_config
        self._max_clients = max_clients
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._accepted = 0

    @property
    def endpoint(self) -> str:
        """The address that it listens on."""
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"

    def run(self) -> None:
        """Serves until `stop`; then delivers finished batches, and returns."""
        try:
            self.serve_forever()
        finally:
            self.server_close()  # waits for the threads

    def stop(self) -> None:
        """Makes `run` return, and disconnects all clients; may be called from any thread."""
        self._stopping.set()
        with self._lock:
            for connection in self._connections:
                _shut(connection)
        threading.Thread(target=self.shutdown, daemon=True).start()  # it waits for `run`

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuses clients above the limit."""
        with self._lock:
            if len(self._connections) < self._max_clients:
                return True
        _LOG.warning("refused %s: %d clients are connected", client_address, self._max_clients)
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs an unexpected exception of a connection."""
        _LOG.exception("the connection of %s failed", client_address)

    def serve(self, connection: socket.socket, peer: Any) -> None:
        """Answers one client until it leaves."""
        with self._lock:
            self._connections.add(connection)
            self._accepted += 1
            number = self._accepted
        _LOG.info("client %d connected from %s", number, peer)
        try:
            with self._open_client(number) as client:
                session = RLlinkSession(client, self._make_config, self._stopping)
                with contextlib.closing(session):
                    self._serve(connection, session)
            _LOG.info("client %d left", number)
        except (HeadraceError, OSError) as error:
            _LOG.warning("client %d: %s", number, error)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _serve(self, connection: socket.socket, session: RLlinkSession) -> None:
        with connection.makefile("rb") as stream:
            while not self._stopping.is_set():
                message = read_message(stream.read)
                if message is None:
                    return
                reply = session.answer(*message)
                if reply is not None:
                    connection.sendall(reply)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        cast("RLlinkGateway", self.server).serve(connection, self.client_address)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may already be closed
        connection.shutdown(socket.SHUT_RDWR)
