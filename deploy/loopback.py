"""Without keys, endpoints must be reachable from this machine only."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from headrace.protocol.errors import ConfigError

_KEYS = "make keys with `headrace keygen` and give --keys, or listen on 127.0.0.1"


def require_loopback(endpoints: Sequence[str], instead: str = _KEYS) -> None:
    """Refuses endpoints that other machines can reach.

    Args:
        instead: advice for the error message.

    Raises:
        ConfigError: other machines can reach one of them.
    """
    open_to_others = [endpoint for endpoint in endpoints if not _is_local(endpoint)]
    if open_to_others:
        raise ConfigError(
            f"{open_to_others[0]} can be reached from other machines: {instead}; without keys "
            "nothing is encrypted or authenticated, and only --insecure permits that"
        )


def _is_local(endpoint: str) -> bool:
    if endpoint.startswith("ipc://"):
        return True
    host = re.sub(r"^tcp://\[?([^\]]*?)\]?:\d+$", r"\1", endpoint)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
