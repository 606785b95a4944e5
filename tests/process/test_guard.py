"""A broker with a memory limit."""

from __future__ import annotations

import socket

import pytest
from support.commands import Commands, children_of, wait_for_end
from support.raw_zmtp import RawPeer
from support.running import wait_until

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status
from headrace.protocol.endpoints import BrokerAddress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
BOUND = ("--max-memory-mib", "200")


def serves(url: str) -> bool:
    try:
        fetch_status(url)
    except BrokerUnreachableError:
        return False
    return True


def test_a_broker_that_dies_is_restarted_at_the_same_address(commands: Commands) -> None:
    guard, address, url = commands.start_broker("tcp://127.0.0.1:0", *BOUND)
    [child] = children_of(guard)
    child.kill()
    wait_until(lambda: serves(url) and children_of(guard) != [child])
    assert address in "".join(commands.text("broker").splitlines()[-2:])
    left = children_of(guard)
    guard.terminate()
    assert guard.wait(20) == ExitCode.OK
    wait_for_end(left)


def test_an_endless_message_causes_a_restart_and_uses_no_more_memory(commands: Commands) -> None:
    guard, address, url = commands.start_broker("tcp://127.0.0.1:0", *BOUND)
    before = children_of(guard)
    peer = RawPeer(BrokerAddress.parse(address).ingest)
    peer.greet()
    assert peer.flood(max_bytes=10 << 30)
    wait_until(lambda: serves(url) and children_of(guard) != before)
    assert "killing the broker" in commands.text("broker")


def test_an_invalid_configuration_is_not_retried(commands: Commands) -> None:
    guard = commands.start("guard", "broker", "--address", "nonsense", *BOUND)
    assert guard.wait(30) == ExitCode.CONFIG


def test_a_broker_that_cannot_start_is_given_up(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ("--address", "tcp://127.0.0.1:0", "--http", http)
        guard = commands.start("guard", "broker", *arguments, *BOUND)
        assert guard.wait(30) == ExitCode.CONFIG
