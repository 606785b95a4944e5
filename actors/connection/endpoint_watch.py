"""Which of a client's connections look alive and are not."""

from __future__ import annotations

from headrace.protocol.silence import SilenceWatch

ENDPOINTS = ("ingest", "control", "weights")


class EndpointWatch:
    """Watches the three connections of a client from the first call on.

    The broker answers each presence, which proves ingest; it sends a beacon each second, which
    proves control; and weights are proven by the version that the beacon tells, once it is here.
    """

    def __init__(self) -> None:
        self._watches: dict[str, SilenceWatch] = {}

    def hear(self, endpoint: str, now_s: float) -> None:
        """Notes that an endpoint has proven itself."""
        self._watch(endpoint, now_s).hear(now_s)

    def overdue(self, now_s: float) -> list[str]:
        """Returns, once, the endpoints to connect anew."""
        return [name for name in ENDPOINTS if self._watch(name, now_s).is_overdue(now_s)]

    def _watch(self, endpoint: str, now_s: float) -> SilenceWatch:
        return self._watches.setdefault(endpoint, SilenceWatch(now_s))
