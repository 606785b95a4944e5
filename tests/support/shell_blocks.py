"""Runs the `headrace` lines of a page as the reader would, with addresses of this machine."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.status_view import BrokerUnreachableError, fetch_status
from support.commands import Commands, Process
from support.running import wait_until

_FIRST_PORT = 20_000
_SERVING = ("broker", "learner", "actor", "policy-server", "rllink-gateway")
_ANNOUNCING = ("broker", "policy-server", "rllink-gateway")
_ACTORS = ("actor", "policy-server")


def command_lines(code: str) -> Iterator[list[str]]:
    """Yields the commands of a block, without comments."""
    for line in code.splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


class Shells:
    """A shell for each line: what serves is left running, the rest is awaited.

    Args:
        commands: starts the processes in its folder.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._base, self._http, self._server = _free_ports()
        self._serving: list[tuple[str, Process]] = []
        self._announced: list[Path] = []

    def run(self, words: list[str]) -> None:
        """Runs a line of `headrace`.

        A broker's line stops what earlier lines have started: one broker has the address.
        """
        arguments = [*map(self._local, words[1:]), *self._defaults(words)]
        name = words[1]
        if name == "broker":
            self.stop()
        if name in _SERVING or "--watch" in words:
            number = len(self._commands.started)
            if name in _ANNOUNCING:
                self._announced.append(self._commands.folder / f"{number}.json")
                arguments += ["--announce", str(self._announced[-1])]
            self._serving.append((name, self._commands.start(f"{number}-{name}", *arguments)))
            return
        ended = self._commands.start(name, *arguments)
        assert ended.wait(60) == ExitCode.OK, self._commands.text(name)

    def wait_until_served(self) -> None:
        """Returns once the broker has heard from all that was started, and servers listen."""
        if not self._serving:
            return
        names = [name for name, _ in self._serving]
        learners = names.count("learner")
        actors = sum(name in _ACTORS for name in names)

        def are_connected() -> bool:
            assert all(process.poll() is None for _, process in self._serving), self._texts()
            try:
                status = fetch_status(f"http://127.0.0.1:{self._http}")
            except BrokerUnreachableError:
                return False
            return (
                len(status.actors) >= actors
                and len(status.learners) >= learners
                and all(path.exists() for path in self._announced)
            )

        wait_until(are_connected, 60.0)

    def stop(self) -> None:
        """Presses Ctrl-C in each shell, the broker's last, and expects that all end well."""
        for name, process in reversed(self._serving):
            process.send_signal(signal.SIGINT)
            try:
                status = process.wait(60)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{name} does not end: {self._texts()}") from None
            assert status == ExitCode.OK, f"{name}: {self._texts()}"
        self._serving.clear()

    def _texts(self) -> str:
        return "\n".join(log.read_text() for log in self._commands.folder.glob("*.log"))

    def _local(self, word: str) -> str:
        word = re.sub(r"tcp://[\w.-]+:5570", f"tcp://127.0.0.1:{self._server}", word)
        return re.sub(r"tcp://[\w.-]+:5555", f"tcp://127.0.0.1:{self._base}", word)

    def _defaults(self, words: list[str]) -> list[str]:
        """Replaces the default addresses, which others may use on this machine."""
        address, http = f"tcp://127.0.0.1:{self._base}", f"127.0.0.1:{self._http}"
        name = words[1]
        if name == "broker":
            given = [] if "--address" in words else ["--address", address]
            return [*given, "--http", http]
        if name == "status":
            return ["--http", f"http://{http}"]
        if name == "rllink-gateway":
            return ["--listen", "127.0.0.1:0"]
        is_client = name in ("learner", "actor", "policy-server")
        return ["--broker", address] if is_client and not {"--broker", "--join"} & {*words} else []


def _free_ports() -> tuple[int, int, int]:
    """Returns the first of four consecutive free ports, and two more."""
    for first in range(_FIRST_PORT, 30_000, 8):
        with ExitStack() as stack:
            try:
                for port in range(first, first + 6):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first, first + 4, first + 5
    raise AssertionError("no six consecutive free ports")
