"""Shuts down connections of peers. Linux only; elsewhere it finds none.

libzmq cannot disconnect a single peer, but it notices when a TCP connection is shut down.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Container

from headrace.broker.host.file_descriptors import duplicate, sockets_at

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES, _BYTES_RECEIVED_AT = 256, 128
"""Offset of tcpi_bytes_received in linux/tcp.h's `struct tcp_info`, absent in older kernels."""


def shut_down(fd: int) -> None:
    """Shuts down a file descriptor's connection; its owner notices and closes it."""
    with duplicate(fd) as connection:
        if connection is not None:
            _shut_down(connection)


def shut_down_flooders(ports: Container[int], max_bytes: int) -> list[int]:
    """Shuts down connections to `ports` that sent over `max_bytes`; returns the bytes from each."""
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
    with contextlib.suppress(OSError):  # already closed
        connection.shutdown(socket.SHUT_RDWR)
