"""Lets nobody connect for a while, and leaves those alone that are connected. Linux.

libzmq's `unbind` would end all connections that came through the listener. A socket filter (Linux'
Documentation/networking/filter.rst) makes the listener drop every packet of who is not connected.
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
"""One instruction of classic BPF: return 0, of the packet keep nothing."""
_SPARE_FILES = 8


class Listeners:
    """The listening sockets at some ports; `close` it before they may be free again.

    It keeps some files, so that who waits can be turned away when no others are left.
    """

    def __init__(self, ports: Container[int]) -> None:
        self._sockets = [
            found.dup()
            for found in sockets_at(ports)
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ]
        for listener in self._sockets:
            listener.setblocking(False)  # libzmq's own too, which is prepared for that
        self._spare: list[int] = []
        self._save_files()

    def refuse(self) -> None:
        """Lets nobody connect, and turns away who waits to be accepted."""
        program = ctypes.create_string_buffer(_DROP, len(_DROP))
        drop_all = struct.pack("@HP", 1, ctypes.addressof(program))
        self._spend_files()
        for listener in self._sockets:
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, drop_all)
            with contextlib.suppress(OSError):  # nobody waits any more
                while True:
                    listener.accept()[0].close()
        self._save_files()

    def admit(self) -> None:
        """Lets peers connect again."""
        for listener in self._sockets:
            listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    def close(self) -> None:
        """Lets go of them."""
        self._spend_files()
        while self._sockets:
            self._sockets.pop().close()

    def _spend_files(self) -> None:
        while self._spare:
            os.close(self._spare.pop())

    def _save_files(self) -> None:
        with contextlib.suppress(OSError):  # a peer was faster
            while len(self._spare) < _SPARE_FILES:
                self._spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
