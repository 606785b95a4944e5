"""ZMTP 3.0 by hand (RFC 23), for messages that no library would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from support.machine import scaled

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MORE_AND_LONG = 0x03
_PART_BYTES = 1024 * 1024


class RawPeer:
    """A TCP connection to a ZeroMQ socket without encryption."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self._tcp = socket.create_connection((host, int(port)), timeout=scaled(5.0))

    def greet(self, socket_type: str = "PUSH") -> None:
        """Completes the handshake."""
        mechanism = b"NULL".ljust(20, b"\0")
        self._tcp.sendall(_SIGNATURE + b"\x03\x00" + mechanism + b"\0" + bytes(31))
        name, value = b"Socket-Type", socket_type.encode()
        ready = b"\x05READY" + bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
        self._tcp.sendall(b"\x04" + bytes([len(ready)]) + ready)
        self._tcp.recv(4096)

    def close(self) -> None:
        """Disconnects."""
        self._tcp.close()

    def subscribe(self, topics: Iterable[bytes]) -> bool:
        """Subscribes to topics of up to 254 bytes; returns whether the connection is gone."""
        frames = b"".join(bytes([0, len(topic) + 1]) + b"\1" + topic for topic in topics)
        try:
            self._tcp.sendall(frames)
        except OSError:
            return True
        return False

    def flood(self, max_bytes: int) -> bool:
        """Sends parts of one message until the connection is gone; returns whether it went."""
        part = bytes([_MORE_AND_LONG]) + struct.pack(">Q", _PART_BYTES) + bytes(_PART_BYTES)
        with self._tcp:
            try:
                for _ in range(max_bytes // _PART_BYTES):
                    self._tcp.sendall(part)
            except OSError:
                return True
        return False
