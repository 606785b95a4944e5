"""A broker's status as a person reads it: at its page, on a terminal, as JSON."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import signal
import subprocess
import sys

import pytest
from support.commands import Commands
from support.machine import scaled
from support.running import free_port

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import fetch_status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("given", ["{port}", "localhost:{port}"])
def test_a_brokers_page_is_served_to_this_machine_only(commands: Commands, given: str) -> None:
    port = free_port()
    _, _, url = commands.start_broker("tcp://127.0.0.1:0", "--http", given.format(port=port))
    assert url == f"http://127.0.0.1:{port}"
    assert url in commands.text("broker")
    assert fetch_status(url).actors == []


def test_a_watched_status_is_redrawn_until_interrupted(commands: Commands) -> None:
    _, _, url = commands.start_broker()
    reader, terminal = pty.openpty()
    watch = commands.start("watch", "status", "--watch", "--http", url, output=terminal)
    os.close(terminal)
    drawn = b""
    while b"none is connected" not in drawn:
        drawn += os.read(reader, 4096)
    watch.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # raised once the other end of the terminal is closed
        while os.read(reader, 4096):  # or the last table might not fit and block the writer
            pass
    assert watch.wait(10) == ExitCode.OK
    os.close(reader)


def test_a_watched_status_in_json_is_a_line_per_second(commands: Commands) -> None:
    _, _, url = commands.start_broker()
    watch = subprocess.Popen(
        [sys.executable, "-m", "headrace.deploy", "status", "--json", "--watch", "--http", url],
        stdout=subprocess.PIPE,
    )
    assert watch.stdout is not None
    with watch:
        lines = [json.loads(watch.stdout.readline()) for _ in range(3)]
        watch.send_signal(signal.SIGINT)
        assert watch.wait(scaled(10)) == ExitCode.OK
    assert all(line["actors"] == [] for line in lines)
    uptimes_s = [line["uptime_s"] for line in lines]
    assert all(later >= earlier + 0.9 for earlier, later in itertools.pairwise(uptimes_s))
