"""Notices connections that fail before their key is known: without one, or for another broker."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Mapping

import zmq
from zmq.utils.monitor import parse_monitor_message

from headrace.protocol.zeromq.frames import drain

_FAILED = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
_EVENTS = int(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED) | _FAILED
_MAX_REPORTED = 1000
_UNKNOWN_BEFORE_REPORT = 16
_REASONS = {
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): "the peer has no invitation",
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): "its invitation was made for another broker",
}


class HandshakeWatch:
    """Monitors sockets that require keys.

    Attributes:
        monitors: poll them; when one is readable, `take_reports` soon, before the peer has gone.
    """

    def __init__(self, sockets: Mapping[str, zmq.Socket[bytes]]) -> None:
        """Takes sockets by endpoint name, bound or not."""
        self._sockets = sockets
        # Under names of their own: libzmq may still hold that of an earlier monitor.
        self.monitors = {
            endpoint: made.get_monitor_socket(
                _EVENTS, f"inproc://handshakes-{secrets.token_hex(8)}"
            )
            for endpoint, made in sockets.items()
        }
        self._addresses: dict[int, str] = {}
        """Where connections come from, by file descriptor."""
        self._reported: set[tuple[str, str]] = set()
        self._unknown = 0

    def take_reports(self) -> list[str]:
        """Returns sentences about failed handshakes, one for each address and reason."""
        reports: list[str] = []
        for endpoint, monitor in self.monitors.items():
            reason: str | None = None
            for frames in drain(monitor):
                event = parse_monitor_message([bytes(frame) for frame in frames])
                kind, value = event["event"], event["value"]
                if kind == zmq.EVENT_ACCEPTED:
                    self._note_accepted(value)
                elif kind == _FAILED:  # without an address; its disconnection follows
                    reason = _REASONS.get(value)
                else:
                    address = self._addresses.pop(value, None)
                    if reason is not None and self._is_due(reason, address):
                        reports.append(
                            f"refused a connection to {endpoint} from "
                            f"{address or 'an unknown address'}: {reason}"
                        )
                    reason = None
        return reports

    def close(self) -> None:
        """Stops monitoring."""
        for made in self._sockets.values():
            if not made.closed:
                made.disable_monitor()
        for monitor in self.monitors.values():
            monitor.close(linger=0)

    def _note_accepted(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # the connection may be closed already
            self._addresses[fd] = _peer_address(fd)

    def _is_due(self, reason: str, address: str | None) -> bool:
        if address is None:  # it has gone already, and will try again
            self._unknown += 1
            if self._unknown != _UNKNOWN_BEFORE_REPORT:
                return False
        found = (address or "", reason)
        if found in self._reported or len(self._reported) >= _MAX_REPORTED:
            return False
        self._reported.add(found)
        return True


def _peer_address(fd: int) -> str:
    """Returns where a connection comes from; raises OSError if it is closed."""
    copy = os.dup(fd)  # libzmq may close its own at any time
    try:
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with connection:
        return str(connection.getpeername()[0] or "this machine")
