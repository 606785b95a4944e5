"""Detects connections of a client that look alive but are dead."""

from __future__ import annotations

from headrace.protocol.silence import SilenceWatch
from headrace.protocol.silence_warnings import SilenceWarnings

ENDPOINTS = ("ingest", "control", "weights")


class EndpointWatch:
    """Watches a client's three connections, starting with the first call.

    Ingest is proven when the broker answers a presence message, control by the beacon that the
    broker sends each second, and weights once the version that the beacon names has arrived.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._watches: dict[str, SilenceWatch] = {}
        self._warnings: SilenceWarnings | None = None

    def note_contact(self, endpoint: str, now_s: float) -> None:
        """Records proof that an endpoint works."""
        self._watch(endpoint, now_s).note_contact(now_s)
        self.warnings(now_s).note_contact(endpoint, now_s)

    def warnings(self, now_s: float) -> SilenceWarnings:
        """Returns when to warn that endpoints are silent."""
        if self._warnings is None:
            self._warnings = SilenceWarnings(ENDPOINTS, now_s)
        return self._warnings

    def take_overdue(self, now_s: float) -> list[str]:
        """Returns, once, the endpoints to reconnect."""
        return [name for name in ENDPOINTS if self._watch(name, now_s).restart_if_overdue(now_s)]

    def _watch(self, endpoint: str, now_s: float) -> SilenceWatch:
        return self._watches.setdefault(endpoint, SilenceWatch(now_s, self._silence_s))
