"""Which of several brokers an actor uses: rendezvous hashing (Thaler and Ravishankar 1998).

Each actor of a fleet is given the same list, and none has to ask another one: about as many choose
each broker, and if a broker is added, only those move that choose it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from headrace.protocol.errors import ConfigError

_ENDPOINTS = 4


def split_addresses(address: str | Sequence[str]) -> tuple[str, ...]:
    """Returns the addresses of a list, or of a text in which commas separate them.

    An address that names its four endpoints, `ingest=…,control=…,weights=…,learner=…`, contains
    commas itself.

    Raises:
        ConfigError: there is no address, or one is given twice.
    """
    texts = [address] if isinstance(address, str) else address
    addresses = tuple(found for text in texts for found in _split(text))
    if not addresses:
        raise ConfigError("no broker's address is given; write one such as tcp://127.0.0.1:5555")
    for found in addresses:
        if addresses.count(found) > 1:
            raise ConfigError(f"the broker {found} is given twice")
    return addresses


def choose_broker(addresses: Sequence[str], actor: str) -> str:
    """Returns the address that an actor uses, whatever their order."""
    return max(addresses, key=lambda address: _score(address, actor))


def _split(text: str) -> list[str]:
    if "=" not in text:
        return [part.strip() for part in text.split(",")]
    addresses: list[str] = []
    named: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if "=" not in part:
            addresses.append(part)
            continue
        named.append(part)
        if len(named) == _ENDPOINTS:
            addresses.append(",".join(named))
            named = []
    return [*addresses, ",".join(named)] if named else addresses


def _score(address: str, actor: str) -> bytes:
    return hashlib.sha256(f"{address} {actor}".encode()).digest()
