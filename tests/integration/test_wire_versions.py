"""Clients beside a broker that speaks only another wire version."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

import msgspec
import pytest
import zmq
from support.machine import scaled
from support.running import Context, Learner

from headrace.actors.connection.client import Client
from headrace.deploy.exit_codes import ExitCode
from headrace.protocol.endpoints import BrokerAddress
from headrace.protocol.errors import RefusedError, RejectCode
from headrace.protocol.topics import BEACON


def later(kind: str, **fields: object) -> bytes:
    """Returns a header of wire version 2."""
    return msgspec.msgpack.encode({"kind": kind, **fields, "wire": 2, "wire_min": 2, "wire_max": 2})


@contextmanager
def later_broker(context: Context) -> Generator[str]:
    """Runs a broker that speaks wire version 2; yields its address."""
    with contextlib.ExitStack() as stack:
        kinds = (zmq.PULL, zmq.XPUB, zmq.XPUB, zmq.ROUTER)
        sockets = [stack.enter_context(context.socket(kind)) for kind in kinds]
        for each in sockets:
            each.bind("tcp://127.0.0.1:0")
        may_end = threading.Event()

        def serve() -> None:
            _, control, _, learners = sockets
            while not may_end.wait(0.05):
                control.send_multipart([BEACON, later("beacon", broker=1)])
                while learners.poll(0):
                    peer = learners.recv_multipart()[0]
                    learners.send_multipart([peer, later("welcome", broker=1, session=1)])

        serving = threading.Thread(target=serve)
        serving.start()
        endpoints = (each.getsockopt_string(zmq.LAST_ENDPOINT) for each in sockets)
        yield str(BrokerAddress(*endpoints))
        may_end.set()
        serving.join()


def test_an_actors_client_is_refused(context: Context) -> None:
    with (
        later_broker(context) as address,
        contextlib.closing(Client(address, context=context)) as client,
        pytest.raises(RefusedError, match="wire version 2; this side speaks 1") as refused,
    ):
        client.begin(scaled(20.0))
    assert refused.value.code is RejectCode.UNSUPPORTED_VERSION


def test_a_learner_is_refused(context: Context) -> None:
    with (
        later_broker(context) as address,
        Learner(context, address) as learner,
        pytest.raises(RefusedError, match="wire version 2; this side speaks 1"),
    ):
        learner.take(1)


@pytest.mark.parametrize(
    "command", [("actor", "--env", "CartPole-v1"), ("learner", "examples/cartpole.toml")]
)
def test_a_command_ends_with_one_line(
    context: Context, command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    runs = ("--runs", str(tmp_path_factory.mktemp("runs"))) if command[0] == "learner" else ()
    with later_broker(context) as address:
        ended = subprocess.run(
            [sys.executable, "-m", "headrace.deploy", *command, *runs, "--broker", address],
            capture_output=True,
            text=True,
            timeout=scaled(60.0),
        )
    assert ended.returncode == ExitCode.REFUSED, ended.stderr
    said = [line for line in ended.stderr.splitlines() if "wire version 2" in line]
    assert len(said) == 1, ended.stderr
    assert len(ended.stderr.splitlines()) <= 3, ended.stderr
