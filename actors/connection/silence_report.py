"""Logs which endpoints of a broker do not answer, and why that may be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.zeromq.background import BackgroundWarning
from headrace.protocol.zeromq.diagnosis import CONTROL, INGEST, WEIGHTS, Expected, diagnose

_LOG = logging.getLogger("headrace.actor")

_EXPECTED: Mapping[str, Expected] = {"ingest": INGEST, "control": CONTROL, "weights": WEIGHTS}

Diagnose = Callable[[str, Expected], str]


class SilenceReport:
    """Looks for the causes in a thread of its own, since names may take long to resolve."""

    def __init__(self, address: BrokerAddress, *, has_keys: bool) -> None:
        self._address = address
        self._has_keys = has_keys
        self._warning = BackgroundWarning(_LOG)

    def log(self, endpoints: Sequence[str]) -> None:
        """Logs a warning about endpoints that are silent, unless the last one is in the making."""

        def look(endpoint: str, expected: Expected) -> str:
            return diagnose(endpoint, expected, has_keys=self._has_keys)

        self._warning.log(lambda: describe_silence(self._address, endpoints, look))


def describe_silence(address: BrokerAddress, silent: Sequence[str], look: Diagnose) -> str:
    """Returns one sentence about silent endpoints, with the causes that were found.

    Args:
        silent: names of endpoints, such as "ingest".
        look: returns what is wrong with an endpoint.
    """
    findings: dict[str, list[str]] = {}
    for name in silent:
        endpoint = getattr(address, name)
        findings.setdefault(look(endpoint, _EXPECTED[name]), []).append(f"{endpoint} ({name})")
    causes = "; ".join(f"{', '.join(where)}: {cause}" for cause, where in findings.items())
    return f"no answer from a broker at {causes}"
