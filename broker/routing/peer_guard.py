"""Access control: which messages and subscriptions of a peer are read at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.broker.access.permissions import AllPermissions, Permissions
from headrace.broker.access.policing import Policer, PolicingLimits, QuarantineStatus, Ruling
from headrace.broker.routing.broker_state import BrokerState
from headrace.broker.routing.rejections import Rejections
from headrace.protocol.compression import unpacked_bytes
from headrace.protocol.errors import RejectCode
from headrace.protocol.messages.headers import Frame

Read = Callable[[Sequence[Frame], float, str], None]
"""Reads a message: its frames, the time and its sender's name."""


class PeerGuard:
    """Applies permissions, rate limits and quarantine; a peer's name is empty without keys."""

    def __init__(self, state: BrokerState, rejections: Rejections, limits: PolicingLimits) -> None:
        self._state = state
        self._rejections = rejections
        self._permissions: Permissions = AllPermissions()
        self._policer = Policer(limits)
        self._denied: set[str] = set()
        """Peers whose denial has been logged."""

    @property
    def permissions(self) -> Permissions:
        """The permissions in force."""
        return self._permissions

    def set_permissions(self, permissions: Permissions) -> None:
        """Replaces the permissions."""
        if permissions is not self._permissions:
            self._permissions = permissions
            self._denied.clear()

    def admit_subscription(self, name: str, topic: bytes, now_s: float) -> bool:
        """Counts a subscription against its peer; returns whether it is allowed."""
        if name and not self._policer.take_subscription(name, now_s):
            self._rejections.count(RejectCode.TOO_MUCH)
            self._strike(name, now_s)
            return False
        if self._permissions.may_subscribe(name, topic):
            return True
        self.deny(name, "subscribed to another actor's topic")
        return False

    def admit_message(self, name: str, frames: Sequence[Frame], now_s: float, read: Read) -> None:
        """Calls `read` if the peer may send a message; a reject counts as a strike."""
        if not name:
            read(frames, now_s, name)
            return
        match self._policer.take_message(name, sum(map(unpacked_bytes, frames)), now_s):
            case Ruling.READ:
                before = self._rejections.total
                read(frames, now_s, name)
                if self._rejections.total > before:
                    self._strike(name, now_s)
            case Ruling.TOO_MUCH:
                self._rejections.count(RejectCode.TOO_MUCH)
            case Ruling.QUARANTINED:
                self._rejections.count(RejectCode.QUARANTINED)

    def deny(self, name: str, what: str) -> None:
        """Counts a forbidden action, and logs a peer's first one."""
        self._rejections.count(RejectCode.FORBIDDEN)
        if name not in self._denied:
            self._denied.add(name)
            self._state.outbox.note(f"denied: {name or 'a peer'} {what}", is_warning=True)

    def is_quarantined(self, name: str, now_s: float) -> bool:
        """Returns whether a peer is in quarantine."""
        return bool(name) and self._policer.is_quarantined(name, now_s)

    def quarantined(self, now_s: float) -> list[QuarantineStatus]:
        """Returns the peers in quarantine."""
        return self._policer.quarantined(now_s)

    def _strike(self, name: str, now_s: float) -> None:
        """Counts a strike against a peer."""
        if self._policer.strike(name, now_s):
            self._state.outbox.note(
                f"{name} is quarantined: too many invalid messages", is_warning=True
            )
