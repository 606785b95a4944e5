from __future__ import annotations

import pytest

from headrace.protocol.endpoints import BrokerAddress, require_endpoint
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
    address = BrokerAddress.parse(
        "ingest=ipc:///a,control=tcp://h:1,weights=tcp://h:9,learner=ipc:///b"
    )
    assert BrokerAddress.parse(str(address)) == address


@pytest.mark.parametrize("host", [" h", "a b", "user@h", "läufer", "-h"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="is not a broker's address"):
        BrokerAddress.parse(f"tcp://{host}:5555")
    with pytest.raises(
        ConfigError, match=r"learner endpoint .* is not of the form tcp://host:port"
    ):
        BrokerAddress.parse(
            f"ingest=ipc:///a,control=tcp://h:1,weights=tcp://h:9,learner=tcp://{host}:5"
        )


@pytest.mark.parametrize("text", ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://[::]:5555"])
def test_only_a_broker_listens_everywhere(text: str) -> None:
    assert str(BrokerAddress.parse(text)).count(text.rpartition(":")[0]) == 4
    with pytest.raises(ConfigError, match="is where a broker listens; to connect, write"):
        BrokerAddress.parse_remote(text)


def test_only_a_broker_leaves_its_ports_open() -> None:
    with pytest.raises(ConfigError, match="has port 0, with which a broker chooses its ports"):
        BrokerAddress.parse_remote("tcp://127.0.0.1:0")
    assert BrokerAddress.parse_remote("tcp://h:5").control == "tcp://h:6"


@pytest.mark.parametrize(
    "text",
    ["", "tcp://h", "tcp://h:65533", "tcp://h:x", "ingest=a", "ingest=a,x=b"],
)
def test_any_other_text_raises_an_error_that_shows_both_forms(text: str) -> None:
    with pytest.raises(ConfigError, match=r"four consecutive ports.*ingest="):
        BrokerAddress.parse(text)


def test_a_missing_transport_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean tcp://localhost:5555"):
        BrokerAddress.parse("localhost:5555")


@pytest.mark.parametrize("text", ["tcp://h:5570", "tcp://[::1]:0", "ipc:///tmp/x", "inproc://x"])
def test_an_endpoint_is_returned_as_it_is(text: str) -> None:
    assert require_endpoint(text, "--listen") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h:5570", "--listen 'h:5570' names no transport: did you mean tcp://h:5570?"),
        ("nonsense", "--listen 'nonsense' names no transport"),
        ("tcp://h", "--listen 'tcp://h' is not of the form tcp://host:port"),
        ("tcp://h:99999", "--listen 'tcp://h:99999' is not of the form tcp://host:port"),
    ],
)
def test_what_is_no_endpoint_is_corrected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        require_endpoint(text, "--listen")
    assert str(raised.value) == message


def test_naming_an_endpoint_twice_is_an_error() -> None:
    with pytest.raises(ConfigError):
        BrokerAddress.parse("ingest=a,ingest=a,control=b,weights=c,learner=d")
