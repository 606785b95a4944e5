"""Where the brokers of a run file listen, and which of them a learner connects to."""

from __future__ import annotations

import pytest

from headrace.deploy.broker_places import BrokerPlace, broker_places, learner_addresses
from headrace.deploy.run_file import BrokerSection
from headrace.protocol.errors import ConfigError

FIRST = "tcp://127.0.0.1:5555"


def test_one_broker_is_where_the_run_file_says() -> None:
    [place] = broker_places(BrokerSection())
    assert place == BrokerPlace("broker", FIRST, "127.0.0.1:5560")


def test_several_brokers_are_ten_ports_apart() -> None:
    places = broker_places(BrokerSection(count=3))
    assert places == (
        BrokerPlace("broker-0", FIRST, "127.0.0.1:5560"),
        BrokerPlace("broker-1", "tcp://127.0.0.1:5565", "127.0.0.1:5570"),
        BrokerPlace("broker-2", "tcp://127.0.0.1:5575", "127.0.0.1:5580"),
    )


def test_the_system_chooses_all_ports_with_port_0() -> None:
    places = broker_places(BrokerSection("tcp://127.0.0.1:0", "127.0.0.1:0", count=2))
    assert {(place.address, place.http) for place in places} == {
        ("tcp://127.0.0.1:0", "127.0.0.1:0")
    }


def test_a_learner_connects_to_the_addresses_or_to_the_brokers_of_up() -> None:
    others = ("tcp://a:5555", "tcp://b:5555")
    assert learner_addresses(BrokerSection()) == (FIRST,)
    assert learner_addresses(BrokerSection(count=2)) == (FIRST, "tcp://127.0.0.1:5565")
    assert learner_addresses(BrokerSection(addresses=others)) == others


@pytest.mark.parametrize(
    "section",
    [
        BrokerSection(addresses=("tcp://a:5555", "tcp://a:5555")),
        BrokerSection(addresses=("tcp://*:5555",)),
        BrokerSection(addresses=("tcp://a:5555",), count=2),
        BrokerSection("tcp://a:65530", count=2),
        BrokerSection("nonsense", count=2),
    ],
)
def test_addresses_that_cannot_work_are_errors(section: BrokerSection) -> None:
    with pytest.raises(ConfigError):
        learner_addresses(section)
