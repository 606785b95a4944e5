"""Where a broker serves its status."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from headrace.broker.monitoring.http_address import HttpAddress
from headrace.deploy.cli import headrace
from headrace.protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:5560", "127.0.0.1", 5560, "127.0.0.1:5560"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        ("[::1]:80", "::1", 80, "[::1]:80"),
        ("26014", "127.0.0.1", 26014, "127.0.0.1:26014"),
        ("192.0.2.1:26014", "192.0.2.1", 26014, "192.0.2.1:26014"),
        ("http://127.0.0.1:5560/", "127.0.0.1", 5560, "127.0.0.1:5560"),
    ],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int, shown: str) -> None:
    assert HttpAddress.parse(text) == HttpAddress(host, port)
    assert str(HttpAddress.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [":26014", "::1:80", "127.0.0.1", "host:port", "127.0.0.1:99999", "[::1:80", "[]:80", ""],
)
def test_what_is_no_address_is_an_error_that_says_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write host:port, such as 127\.0\.0\.1:5560"):
        HttpAddress.parse(text)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"])
def test_status_for_other_machines_needs_keys_or_insecure(address: str) -> None:
    arguments = ["broker", "--address", "tcp://127.0.0.1:0", "--http", address]
    result = CliRunner().invoke(headrace, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "can be reached from other machines" in str(result.exception)
