"""Clients that get no answer say so, and why that may be."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import zmq
from support.machine import scaled
from support.running import BrokerThread, Context, Learner, free_port, wait_until

from headrace.actors.agents.agent import Agent
from headrace.actors.connection.client import Client
from headrace.actors.inference.policy_client import PolicyClient
from headrace.broker.access.key_folder import KeyFolder
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.zeromq.diagnosis import (
    CONTROL,
    INGEST,
    LEARNER,
    POLICY_SERVER,
    WEIGHTS,
    Expected,
    diagnose,
)

ANYWHERE = "tcp://127.0.0.1:0"


@contextmanager
def listening(context: Context, kind: int) -> Generator[str]:
    with context.socket(kind) as bound:
        bound.bind(ANYWHERE)
        yield bound.getsockopt_string(zmq.LAST_ENDPOINT)


def endpoints_of(broker: BrokerThread) -> BrokerAddress:
    return BrokerAddress.parse(str(broker.service.address))


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [
        ("tcp://no-such-name.invalid:5555", "the name 'no-such-name.invalid' does not resolve"),
        ("ipc:///nowhere", "nothing answers there"),
    ],
)
def test_an_address_that_leads_nowhere_is_explained(endpoint: str, cause: str) -> None:
    assert cause in diagnose(endpoint, INGEST, has_keys=False)


def test_a_closed_port_is_explained() -> None:
    cause = diagnose(f"tcp://127.0.0.1:{free_port()}", INGEST, has_keys=False)
    assert cause == "nothing listens there: is it running, and is the address right?"


def test_a_port_of_another_protocol_is_explained() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        endpoint = f"tcp://127.0.0.1:{server.server_address[1]}"
        cause = diagnose(endpoint, INGEST, has_keys=False, timeout_s=scaled(1.0))
        server.shutdown()
        serving.join()
    assert "does not speak ZeroMQ" in cause


@pytest.mark.parametrize(
    ("kind", "expected", "cause"),
    [
        (zmq.XPUB, INGEST, "a broker's control or weights port, where a broker's ingest port"),
        (zmq.ROUTER, INGEST, "a broker's learner port or a policy server, where"),
        (zmq.PULL, POLICY_SERVER, "a broker's ingest port, where a policy server, is expected"),
        (zmq.REP, LEARNER, "a REP socket of another program"),
        (zmq.PULL, INGEST, "does not answer: is it busy, or waiting"),
        (zmq.XPUB, CONTROL, "does not answer: is it busy, or waiting"),
        (zmq.XPUB, WEIGHTS, "does not answer: is it busy, or waiting"),
    ],
)
def test_the_kind_of_a_port_is_found_out(
    context: Context, kind: int, expected: Expected, cause: str
) -> None:
    with listening(context, kind) as endpoint:
        assert cause in diagnose(endpoint, expected, has_keys=False, timeout_s=scaled(1.0))


def test_what_is_wrong_with_keys_is_found_out(
    context: Context, tmp_path: Path, start_broker: Callable[..., BrokerThread]
) -> None:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    with_keys = endpoints_of(start_broker(ANYWHERE, keys=folder)).ingest
    without = endpoints_of(start_broker(ANYWHERE)).ingest
    wait_s = scaled(1.0)
    assert "it requires keys: join with an invitation" in diagnose(
        with_keys, INGEST, has_keys=False, timeout_s=wait_s
    )
    assert "it does not accept this invitation" in diagnose(
        with_keys, INGEST, has_keys=True, timeout_s=wait_s
    )
    assert "it has no keys" in diagnose(without, INGEST, has_keys=True, timeout_s=wait_s)


def warning_of(caplog: pytest.LogCaptureFixture, part: str) -> Callable[[], bool]:
    def has_come() -> bool:
        return any(part in r.getMessage() for r in caplog.records if r.levelname == "WARNING")

    return has_come


@pytest.mark.parametrize(
    ("key", "at_client", "at_broker"),
    [
        ("none", "it requires keys", "from 127.0.0.1: the peer has no invitation"),
        (
            "of another broker",
            "this invitation",
            "from 127.0.0.1: its invitation was made for another",
        ),
        ("revoked", "this invitation: revoked", "from 127.0.0.1: its key is not invited"),
        ("of a learner", "this invitation", "from 127.0.0.1: 'trainer' is invited as a learner"),
    ],
)
def test_both_sides_say_what_is_wrong_with_a_key(
    context: Context,
    tmp_path: Path,
    start_broker: Callable[..., BrokerThread],
    caplog: pytest.LogCaptureFixture,
    key: str,
    at_client: str,
    at_broker: str,
) -> None:
    folder, other = KeyFolder(tmp_path / "keys"), KeyFolder(tmp_path / "others")
    folder.create()
    other.create()
    unused = "tcp://127.0.0.1:5555"
    invitations = {
        "none": None,
        "of another broker": other.invite("actor", "walker", unused),
        "revoked": folder.invite("actor", "walker", unused),
        "of a learner": folder.invite("learner", "trainer", unused),
    }
    folder.revoke("walker")  # before the broker has seen it
    address = start_broker(ANYWHERE, keys=folder).address
    with Client(address, context=context, invitation=invitations[key]):
        wait_until(warning_of(caplog, at_broker))
        wait_until(warning_of(caplog, at_client))
    lines = [r.getMessage() for r in caplog.records if "refused a" in r.getMessage()]
    assert len(lines) <= 5, lines


def test_a_client_says_that_nothing_listens(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with Client(f"tcp://127.0.0.1:{port}", context=context):
        wait_until(warning_of(caplog, "no answer from a broker at"), 8.0)
    [said] = {r.getMessage() for r in caplog.records if "no answer" in r.getMessage()}
    assert f"tcp://127.0.0.1:{port} (ingest)" in said
    assert "nothing listens there" in said


def test_a_client_says_that_its_port_is_another_one_of_the_broker(
    broker: BrokerThread, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    ports = endpoints_of(broker)
    wrong = f"ingest={ports.learner},control={ports.control},weights={ports.weights},learner="
    with Client(wrong + ports.ingest, context=context):
        wait_until(warning_of(caplog, "(ingest): this is a broker's learner port"), 8.0)


def test_a_learner_that_waits_names_the_address_that_it_was_given(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    said = f"at {address} (port for learners: tcp://127.0.0.1:{port + 3}): nothing listens there"
    is_said = warning_of(caplog, said)
    with Learner(context, address) as learner:
        wait_until(lambda: not learner.take(5, 0.1) and is_said(), 10.0)


def test_an_agent_that_waits_says_why(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    with Client(f"tcp://127.0.0.1:{free_port()}", context=context) as client:
        agent, is_said = Agent(client), warning_of(caplog, "nothing listens there")
        wait_until(lambda: agent.act([0.0], 0.1) is None and is_said(), 10.0)


def test_a_client_that_was_not_answered_says_when_it_is(
    context: Context,
    start_broker: Callable[..., BrokerThread],
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with Client(address, context=context):
        wait_until(warning_of(caplog, "no answer"), 8.0)
        start_broker(address)
        wait_until(warning_of(caplog, "the broker answers again"), 15.0)


@pytest.mark.parametrize("at", ["closed", "broker"])
def test_a_thin_client_says_why_it_waits(
    broker: BrokerThread, at: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed = f"tcp://127.0.0.1:{free_port()}"
    address = closed if at == "closed" else endpoints_of(broker).ingest
    client, is_said = PolicyClient(address, "remote"), warning_of(caplog, "no answer")
    wait_until(lambda: not client.wait_for_policy(0.1) and is_said(), 10.0)
    client.close()
    [said] = {r.getMessage() for r in caplog.records if "no answer" in r.getMessage()}
    assert said.startswith(f"no answer from a policy server at {address}: ")
    assert ("nothing listens" if at == "closed" else "this is a broker's ingest port") in said


def test_warnings_are_seen_without_configured_logging(tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "from headrace.actors import PolicyClient\n"
        f"client = PolicyClient('tcp://127.0.0.1:{free_port()}')\n"
        f"client.wait_for_policy({scaled(30.0)})\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        try:
            assert any("nothing listens there" in line for line in waiting.stderr)
        finally:
            waiting.kill()
