"""The settings of a client."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.protocol.delivery import ResendPolicy
from headrace.protocol.limits import DecodeLimits


@dataclass(frozen=True)
class ClientConfig:
    """Timings and limits of a client.

    Attributes:
        client: name and version of the software, shown in `headrace status`; empty for headrace's
            own and its libraries'.
        presence_s: interval between presence messages (`hello`, `alive`).
        flush_s: how long `close` waits for finished batches to reach the broker.
        silence_s: after which a connection that shows no sign of life is replaced; doubles with
            each attempt. SPEC.md recommends the default.
    """

    client: str = ""
    presence_s: float = 1.0
    flush_s: float = 5.0
    silence_s: float = 5.0
    resend: ResendPolicy = field(default_factory=ResendPolicy)
    limits: DecodeLimits = field(default_factory=DecodeLimits)
