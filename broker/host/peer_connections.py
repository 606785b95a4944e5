"""Ends connections of peers. Linux; elsewhere nobody is found.

libzmq has no way to drop one peer, but a peer whose TCP connection is shut down has gone.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Container

from headrace.broker.host.file_descriptors import duplicate, sockets_at

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES, _BYTES_RECEIVED_AT = 256, 128
"""Where `struct tcp_info` of linux/tcp.h has tcpi_bytes_received; older kernels have less."""


def hang_up(fd: int) -> None:
    """Ends the connection of a file descriptor; its owner notices, and closes it."""
    with duplicate(fd) as connection:
        if connection is not None:
            _shut_down(connection)


def hang_up_on_talkers(ports: Container[int], max_bytes: int) -> list[int]:
    """Ends all connections to these ports from which more than so much came; returns how much."""
    heard: list[int] = []
    for connection in sockets_at(ports):
        received = _bytes_received(connection)
        if received > max_bytes:
            _shut_down(connection)
            heard.append(received)
    return heard


def _bytes_received(connection: socket.socket) -> int:
    if _TCP_INFO is None:
        return 0
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return 0
    if len(info) < _BYTES_RECEIVED_AT + 8:
        return 0
    return int(struct.unpack_from("=Q", info, _BYTES_RECEIVED_AT)[0])


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)
