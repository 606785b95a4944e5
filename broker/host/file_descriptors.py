"""The sockets of this process that libzmq owns, through their file descriptors. Linux."""

from __future__ import annotations

import os
import socket
from collections.abc import Container, Generator, Iterator
from contextlib import contextmanager


@contextmanager
def duplicate(fd: int) -> Generator[socket.socket | None]:
    """A duplicate stays the same connection, whatever its owner does to its own descriptor.

    None where the descriptor is no socket's, or is closed.
    """
    try:
        copy = os.dup(fd)
    except OSError:
        yield None
        return
    try:
        found = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        yield None
        return
    with found:
        yield found


def sockets_at(ports: Container[int]) -> Iterator[socket.socket]:
    """Yields a duplicate of each TCP socket whose own end has one of the ports, until the next."""
    try:
        fds = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return
    for fd in fds:
        with duplicate(fd) as found:
            if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            if int(found.getsockname()[1]) in ports:
                yield found
