"""Access to libzmq's sockets through the file descriptors of this process. Linux only."""

from __future__ import annotations

import os
import socket
from collections.abc import Container, Generator, Iterator
from contextlib import contextmanager


@contextmanager
def duplicate(fd: int) -> Generator[socket.socket | None]:
    """Yields a duplicate of a socket, which stays valid when its owner closes the original.

    Yields None if the descriptor is closed or not a socket.
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
    """Yields a duplicate of each TCP socket with a local port in `ports`, valid until the next."""
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
