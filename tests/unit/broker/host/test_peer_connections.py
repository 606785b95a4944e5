"""Disconnecting single peers, with real TCP connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headrace.broker.host.peer_connections import shut_down, shut_down_flooders


class Pair:
    """A connection: the peer's end and the server's."""

    def __init__(self, listener: socket.socket) -> None:
        self.peer = socket.create_connection(listener.getsockname(), timeout=5.0)
        self.server, _ = listener.accept()
        self.server.settimeout(5.0)

    def say(self, size_bytes: int) -> None:
        self.peer.sendall(bytes(size_bytes))
        while size_bytes:
            size_bytes -= len(self.server.recv(size_bytes))

    @property
    def is_over(self) -> bool:
        """Whether the peer sees its connection closed; waits for it."""
        self.peer.settimeout(0.2)
        try:
            return self.peer.recv(1) == b""
        except TimeoutError:
            return False


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def listener(opened: ExitStack) -> socket.socket:
    return opened.enter_context(socket.create_server(("127.0.0.1", 0)))


def connect(listener: socket.socket, opened: ExitStack) -> Pair:
    pair = Pair(listener)
    opened.enter_context(pair.peer)
    opened.enter_context(pair.server)
    return pair


def test_only_the_connection_that_sent_too_much_is_shut_down(
    listener: socket.socket, opened: ExitStack
) -> None:
    talker, quiet = connect(listener, opened), connect(listener, opened)
    elsewhere = connect(opened.enter_context(socket.create_server(("127.0.0.1", 0))), opened)
    talker.say(300_000)
    elsewhere.say(300_000)
    quiet.say(100_000)
    assert shut_down_flooders({listener.getsockname()[1]}, 200_000) == [300_000]
    assert [pair.is_over for pair in (talker, quiet, elsewhere)] == [True, False, False]


def test_one_connection_can_be_shut_down_by_its_file_descriptor(
    listener: socket.socket, opened: ExitStack
) -> None:
    meant, other = connect(listener, opened), connect(listener, opened)
    shut_down(meant.server.fileno())
    assert [meant.is_over, other.is_over] == [True, False]
    shut_down(meant.server.fileno())  # already shut down


def test_a_descriptor_that_is_closed_or_no_socket_is_ignored() -> None:
    with Path(__file__).open() as file:
        shut_down(file.fileno())
        assert file.read(3) == '"""'
    shut_down(100_000)
