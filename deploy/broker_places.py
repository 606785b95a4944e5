"""Where the brokers of a run file listen."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.broker.monitoring.http_address import HttpAddress
from headrace.deploy.run_file import BrokerSection
from headrace.protocol.broker_choice import split_addresses
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError

PORTS_APART = 10
"""A broker takes four ports, and one for its status."""


@dataclass(frozen=True)
class BrokerPlace:
    """One broker.

    Attributes:
        name: of its process, its log and its files.
        address: of its endpoints.
        http: host:port of its status.
    """

    name: str
    address: str
    http: str


def broker_places(section: BrokerSection) -> tuple[BrokerPlace, ...]:
    """Returns the brokers that run on this machine: each ten ports above the one before.

    Raises:
        ConfigError: an address is invalid.
    """
    BrokerAddress.parse(section.address)
    if section.count == 1:
        return (BrokerPlace("broker", section.address, section.http),)
    if "=" in section.address:
        raise ConfigError(
            f"[broker] count = {section.count} needs one base address, such as "
            "tcp://127.0.0.1:5555; the next broker has ports that are ten higher"
        )
    if section.http:
        HttpAddress.parse(section.http)
    places = tuple(
        BrokerPlace(
            f"broker-{number}",
            _moved(section.address, number * PORTS_APART),
            _moved(section.http, number * PORTS_APART) if section.http else "",
        )
        for number in range(section.count)
    )
    for place in places:
        BrokerAddress.parse(place.address)
    return places


def learner_addresses(section: BrokerSection) -> tuple[str, ...]:
    """Returns the addresses that a learner connects to.

    Raises:
        ConfigError: an address is invalid, or they contradict one another.
    """
    if not section.addresses:
        return tuple(place.address for place in broker_places(section))
    if section.count > 1:
        raise ConfigError(
            "[broker] has both addresses and count: addresses are those of brokers that run "
            "already, count is for those that `headrace up` starts"
        )
    addresses = split_addresses(section.addresses)
    for address in addresses:
        BrokerAddress.parse_remote(address)
    return addresses


def _moved(place: str, ports: int) -> str:
    """Returns an address with a higher port; port 0 stays, with which the system chooses."""
    host, _, port = place.rpartition(":")
    return place if port == "0" else f"{host}:{int(port) + ports}"
