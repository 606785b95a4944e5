"""What to report about keys that are refused: each once, with the reason."""

from __future__ import annotations

from headrace.broker.access.permissions import KeyPermissions

_MAX_REPORTED = 1000


class RefusedKeys:
    """Remembers which keys were reported, and whose keys were revoked while it ran."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, str]] = set()
        self._revoked: dict[str, str] = {}

    def replace(self, former: KeyPermissions, permissions: KeyPermissions) -> None:
        """Takes note of invitations and revocations."""
        invited = {peer.key for peer in permissions.peers}
        self._revoked |= {peer.key: peer.name for peer in former.peers if peer.key not in invited}
        self._reported.clear()

    def report(
        self, key: str, endpoint: str, address: str, permissions: KeyPermissions
    ) -> str | None:
        """Returns a sentence about a refused connection, None if its like has been reported.

        Args:
            key: in Z85.
            address: where the connection comes from.
        """
        reason = self._reason(key, endpoint, permissions)
        if (key, reason) in self._reported or len(self._reported) >= _MAX_REPORTED:
            return None
        self._reported.add((key, reason))
        return f"refused a connection to {endpoint} from {address}: {reason}"

    def _reason(self, key: str, endpoint: str, permissions: KeyPermissions) -> str:
        peer = permissions.find(key)
        if peer is not None:
            return f"{peer.name!r} is invited as {_with_article(peer.role)}"
        if key in self._revoked:
            return f"the invitation of {self._revoked[key]!r} was revoked"
        return "its key is not invited: revoked, or made for another broker"


def _with_article(role: str) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"
