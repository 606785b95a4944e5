"""Health, status and metrics over HTTP, for people, probes and `headrace status`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from headrace.broker.monitoring.http_address import HttpAddress
from headrace.broker.monitoring.metrics import render_metrics
from headrace.broker.routing.status import BrokerStatus
from headrace.protocol.errors import ConfigError

ReadStatus = Callable[[], BrokerStatus]


class _IPv6Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class StatusServer:
    """Serves `/health` (200 while the poll loop responds), `/status`, `/metrics` from threads."""

    def __init__(self, address: str, read_status: ReadStatus) -> None:
        """Binds `address`; see `HttpAddress.parse`.

        Args:
            read_status: raises a TimeoutError while the poll loop does not respond.

        Raises:
            ConfigError: the address is invalid, or cannot be bound.
        """
        parsed = HttpAddress.parse(address)
        kind = _IPv6Server if parsed.is_ipv6 else ThreadingHTTPServer
        try:
            self._server = kind((parsed.host, parsed.port), _handler_of(read_status))
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"cannot serve status at {address!r}: {error}; choose another host:port with "
                "--http, or --http '' for none"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="headrace-http", daemon=True
        )

    @property
    def url(self) -> str:
        """The server's base URL."""
        host, port = self._server.server_address[:2]
        return f"http://{HttpAddress(str(host), int(port))}"

    def start(self) -> None:
        """Starts serving."""
        self._thread.start()

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_of(read_status: ReadStatus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in ("/health", "/status", "/metrics"):
                self._answer(404, {"error": "not found; try /health, /status or /metrics"})
                return
            try:
                status = read_status()
            except TimeoutError:
                self._answer(503, {"error": "the broker's loop does not respond"})
                return
            if self.path == "/metrics":
                self._send(200, CONTENT_TYPE_LATEST, render_metrics(status))
                return
            self._answer(200, status if self.path == "/status" else {"status": "ok"})

        def _answer(self, code: int, body: object) -> None:
            self._send(code, "application/json", msgspec.json.encode(body))

        def _send(self, code: int, content_type: str, encoded: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps probes out of the log."""

    return Handler
