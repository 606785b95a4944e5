"""Refusing new connections and keeping existing ones, with real TCP sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from support.machine import scaled

from headrace.broker.host.accept_filter import AcceptFilter

SOON_S = scaled(0.3)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture
def listeners(listener: socket.socket) -> Iterator[AcceptFilter]:
    found = AcceptFilter({listener.getsockname()[1]})
    yield found
    found.close()


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=SOON_S)


def test_new_connections_are_refused_and_existing_ones_kept(
    listener: socket.socket, listeners: AcceptFilter
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


def test_a_connection_waiting_to_be_accepted_is_closed(
    listener: socket.socket, listeners: AcceptFilter
) -> None:
    with connect(listener) as waiting:
        listeners.refuse()
        with pytest.raises(BlockingIOError):
            listener.accept()
        waiting.settimeout(5.0)
        assert waiting.recv(1) == b""


def test_other_listeners_are_left_alone(listener: socket.socket) -> None:
    listeners = AcceptFilter(set())
    listeners.refuse()
    with connect(listener):
        pass
    listeners.close()


def test_the_port_is_free_once_all_have_closed_it(
    listener: socket.socket, listeners: AcceptFilter
) -> None:
    address = listener.getsockname()
    listener.close()
    listeners.close()
    with socket.create_server(address):
        pass


def test_a_socket_with_two_descriptors_is_one_listener(listener: socket.socket) -> None:
    with listener.dup():
        listeners = AcceptFilter({listener.getsockname()[1]})
    listeners.refuse()
    listeners.admit()
    connect(listener).close()
    listeners.close()
