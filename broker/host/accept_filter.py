"""Refuses new TCP connections for a while and keeps the existing ones. Linux only.

libzmq's `unbind` would end all connections that came through the listener. A socket filter (Linux'
Documentation/networking/filter.rst) makes the listener drop every packet of a new connection.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Container

from headrace.broker.host.file_descriptors import sockets_at

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # asm-generic/socket.h
_DROP = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""One classic BPF instruction, `return 0`: keep nothing of the packet."""
_SPARE_FILES = 8


class AcceptFilter:
    """The listening sockets at some ports, which stay in use until `close`.

    It reserves some file descriptors, so that it can still accept and close waiting connections
    when none are left.
    """

    def __init__(self, ports: Container[int]) -> None:
        listeners: dict[int, socket.socket] = {}
        for found in sockets_at(ports):
            # While another thread looks for its own, a socket has several descriptors.
            inode = os.fstat(found.fileno()).st_ino
            is_listening = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if is_listening and inode not in listeners:
                listeners[inode] = found.dup()
        self._sockets = list(listeners.values())
        for listener in self._sockets:
            listener.setblocking(False)  # also affects libzmq's copy, which can handle that
        self._spare: list[int] = []
        self._save_files()

    def refuse(self) -> None:
        """Refuses new connections, and closes those that wait to be accepted."""
        program = ctypes.create_string_buffer(_DROP, len(_DROP))
        drop_all = struct.pack("@HP", 1, ctypes.addressof(program))
        self._spend_files()
        for listener in self._sockets:
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, drop_all)
            with contextlib.suppress(OSError):  # no connection is waiting any more
                while True:
                    listener.accept()[0].close()
        self._save_files()

    def admit(self) -> None:
        """Lets peers connect again."""
        for listener in self._sockets:
            listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    def close(self) -> None:
        """Releases the listening sockets."""
        self._spend_files()
        while self._sockets:
            self._sockets.pop().close()

    def _spend_files(self) -> None:
        while self._spare:
            os.close(self._spare.pop())

    def _save_files(self) -> None:
        with contextlib.suppress(OSError):  # a new connection took the last one
            while len(self._spare) < _SPARE_FILES:
                self._spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
