"""Turning everybody away who is not connected yet, with real TCP sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from headrace.broker.host.accept_filter import Listeners

SOON_S = 0.3


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture
def listeners(listener: socket.socket) -> Iterator[Listeners]:
    found = Listeners({listener.getsockname()[1]})
    yield found
    found.close()


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=SOON_S)


def test_nobody_connects_and_who_is_connected_stays(
    listener: socket.socket, listeners: Listeners
) -> None:
    with connect(listener) as early, listener.accept()[0] as accepted:
        listeners.refuse()
        with pytest.raises(TimeoutError):
            connect(listener)
        early.sendall(b"still here")
        accepted.settimeout(5.0)
        assert accepted.recv(100) == b"still here"
        listeners.admit()
        with connect(listener), listener.accept()[0]:
            pass


def test_who_waits_to_be_accepted_is_turned_away(
    listener: socket.socket, listeners: Listeners
) -> None:
    with connect(listener) as waiting:
        listeners.refuse()
        with pytest.raises(BlockingIOError):
            listener.accept()
        waiting.settimeout(5.0)
        assert waiting.recv(1) == b""


def test_other_listeners_are_left_alone(listener: socket.socket) -> None:
    listeners = Listeners(set())
    listeners.refuse()
    with connect(listener):
        pass
    listeners.close()


def test_the_port_is_free_once_all_have_closed_it(
    listener: socket.socket, listeners: Listeners
) -> None:
    address = listener.getsockname()
    listener.close()
    listeners.close()
    with socket.create_server(address):
        pass
