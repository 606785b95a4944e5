"""What to do with messages of another wire version: drop a stray one, or give the peer up."""

from __future__ import annotations

from headrace.protocol.errors import RefusedError, RejectCode, RemoteProtocolError

_PATIENCE_S = 5.0


class ForeignVersions:
    """Watches a peer that sends at least once a second."""

    def __init__(self) -> None:
        self._understood_at_s = float("-inf")

    def note_understood(self, now_s: float) -> None:
        """Records a message of a version that this side speaks."""
        self._understood_at_s = now_s

    def refusal(self, error: RemoteProtocolError, now_s: float) -> RefusedError:
        """Returns why to give the peer up: it has not sent anything in this side's version lately.

        Raises:
            RemoteProtocolError: `error`, if the message is just invalid: drop it and continue.
        """
        is_foreign = error.code is RejectCode.UNSUPPORTED_VERSION
        if not is_foreign or now_s - self._understood_at_s < _PATIENCE_S:
            raise error
        return RefusedError(error.code, error.reason)
