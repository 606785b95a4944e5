"""Hanging up on one peer, with real TCP connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headrace.broker.host.peer_connections import hang_up, hang_up_on_talkers


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
        """Whether the peer is told so; waits for it."""
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


def test_who_talks_too_much_is_hung_up_on_and_nobody_else(
    listener: socket.socket, opened: ExitStack
) -> None:
    talker, quiet = connect(listener, opened), connect(listener, opened)
    elsewhere = connect(opened.enter_context(socket.create_server(("127.0.0.1", 0))), opened)
    talker.say(300_000)
    elsewhere.say(300_000)
    quiet.say(100_000)
    assert hang_up_on_talkers({listener.getsockname()[1]}, 200_000) == [300_000]
    assert [pair.is_over for pair in (talker, quiet, elsewhere)] == [True, False, False]


def test_one_connection_can_be_ended_by_its_file_descriptor(
    listener: socket.socket, opened: ExitStack
) -> None:
    meant, other = connect(listener, opened), connect(listener, opened)
    hang_up(meant.server.fileno())
    assert [meant.is_over, other.is_over] == [True, False]
    hang_up(meant.server.fileno())  # it has ended already


def test_a_file_that_is_closed_or_no_connection_is_left_alone() -> None:
    with Path(__file__).open() as file:
        hang_up(file.fileno())
        assert file.read(3) == '"""'
    hang_up(100_000)
