from __future__ import annotations

import pytest

from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import ConfigError


def test_a_base_address_means_four_consecutive_ports() -> None:
    address = BrokerAddress.parse("tcp://10.0.0.5:7000")
    assert address.ingest == "tcp://10.0.0.5:7000"
    assert address.control == "tcp://10.0.0.5:7001"
    assert address.weights == "tcp://10.0.0.5:7002"
    assert address.learner == "tcp://10.0.0.5:7003"


def test_port_zero_stays_zero_for_all_four() -> None:
    assert BrokerAddress.parse("tcp://127.0.0.1:0").learner == "tcp://127.0.0.1:0"


def test_ipv6_addresses_are_written_in_brackets() -> None:
    assert BrokerAddress.parse("tcp://[::1]:5555").control == "tcp://[::1]:5556"


def test_the_printed_form_parses_back() -> None:
    address = BrokerAddress.parse("ingest=ipc:///a,control=tcp://h:1,weights=tcp://h:9,learner=x")
    assert BrokerAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "localhost:5555", "tcp://h", "tcp://h:65533", "tcp://h:x", "ingest=a", "ingest=a,x=b"],
)
def test_any_other_text_raises_an_error_that_shows_both_forms(text: str) -> None:
    with pytest.raises(ConfigError, match=r"four consecutive ports.*ingest="):
        BrokerAddress.parse(text)


def test_naming_an_endpoint_twice_is_an_error() -> None:
    with pytest.raises(ConfigError):
        BrokerAddress.parse("ingest=a,ingest=a,control=b,weights=c,learner=d")
