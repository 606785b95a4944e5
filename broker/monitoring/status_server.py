"""Health, status and metrics over HTTP, for people, probes and `headrace status`."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from headrace.broker.monitoring.http_address import HttpAddress
from headrace.broker.monitoring.metrics import render_metrics
from headrace.broker.monitoring.status_reader import MOST_LISTED, StatusReader
from headrace.protocol.errors import ConfigError


class _IPv6Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class StatusServer:
    """Serves `/health` (200 while the poll loop responds), `/status`, `/metrics` from threads.

    `/status?after=ID&limit=N` continues a list of actors after one of them.
    """

    def __init__(self, address: str, reader: StatusReader) -> None:
        """Binds `address`; see `HttpAddress.parse`.

        Raises:
            ConfigError: the address is invalid, or cannot be bound.
        """
        parsed = HttpAddress.parse(address)
        kind = _IPv6Server if parsed.is_ipv6 else ThreadingHTTPServer
        try:
            self._server = kind((parsed.host, parsed.port), _handler_of(reader))
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


def _handler_of(reader: StatusReader) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            try:
                match url.path:
                    case "/health":
                        reader.summary()
                        self._answer(200, {"status": "ok"})
                    case "/metrics":
                        self._send(200, CONTENT_TYPE_LATEST, render_metrics(reader.summary()))
                    case "/status":
                        self._answer(200, reader.page(*_page_of(url.query)))
                    case _:
                        self._answer(404, {"error": "not found; try /health, /status or /metrics"})
            except ValueError as error:
                self._answer(400, {"error": str(error)})
            except TimeoutError:
                self._answer(503, {"error": "the broker's loop does not respond"})

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


def _page_of(query: str) -> tuple[str, int]:
    """Returns after which actor a page begins, and how many it has at most.

    Raises:
        ValueError: the query is invalid.
    """
    given = parse_qs(query, keep_blank_values=True)
    limit = given.pop("limit", [str(MOST_LISTED)])[-1]
    after = given.pop("after", [""])[-1]
    if given or not limit.isdecimal() or int(limit) > MOST_LISTED:
        raise ValueError(f"/status takes after=ID and limit=N, from 0 to {MOST_LISTED}")
    return after, int(limit)
