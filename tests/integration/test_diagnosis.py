"""Peers that accept a connection and say nothing that ZeroMQ would."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from support.machine import scaled
from support.running import wait_until

from headrace.protocol.zeromq.background import BackgroundWarning
from headrace.protocol.zeromq.diagnosis import INGEST, diagnose

_LOG = logging.getLogger("headrace.test")


@contextmanager
def answering(treat: Callable[[socket.socket], None]) -> Generator[str]:
    """Listens, and treats one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                treat(connection)

        serving = threading.Thread(target=serve)
        serving.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        serving.join()


def fall_silent(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


def reset(connection: socket.socket) -> None:
    assert connection.recv(1)  # the other side knows by now that it is connected
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("treat", [fall_silent, reset])
def test_a_peer_that_hangs_up_is_explained(treat: Callable[[socket.socket], None]) -> None:
    with answering(treat) as endpoint:
        cause = diagnose(endpoint, INGEST, has_keys=False, timeout_s=scaled(1.0))
    assert "it accepts connections, but does not speak ZeroMQ" in cause


def test_a_peer_that_resets_before_the_connection_is_known_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reset_at_once(*_arguments: object) -> socket.socket:
        raise ConnectionResetError

    monkeypatch.setattr(socket, "create_connection", reset_at_once)
    cause = diagnose("tcp://127.0.0.1:5555", INGEST, has_keys=False)
    assert "it accepts connections, but does not speak ZeroMQ" in cause


def test_an_address_without_a_route_is_explained() -> None:
    cause = diagnose("tcp://255.255.255.255:5555", INGEST, has_keys=False)
    assert "nothing answers there: the address may be wrong" in cause


def test_a_name_that_is_too_long_is_explained() -> None:
    endpoint = f"tcp://{300 * 'a'}:5555"
    assert "does not resolve" in diagnose(endpoint, INGEST, has_keys=False)


def test_one_warning_is_made_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    may_end = threading.Event()
    warning = BackgroundWarning(_LOG)

    def describe() -> str:
        assert may_end.wait(scaled(10.0))
        return "first"

    warning.log(describe)
    warning.log(lambda: "second, while the first is in the making")
    may_end.set()
    wait_until(lambda: "first" in caplog.text)
    wait_until(lambda: not any(t.name == "headrace-diagnosis" for t in threading.enumerate()))
    warning.log(lambda: "third")
    wait_until(lambda: "third" in caplog.text)
    assert "second" not in caplog.text
