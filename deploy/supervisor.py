"""A group of child processes that are stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.process import STOP_ON_EOF_OPTION
from headrace.protocol.errors import HeadraceError

Clock = Callable[[], float]
_LAST_LINES = 15


class ChildDiedError(HeadraceError):
    """Raised when a process ended that should still be running; contains its last log lines."""


@dataclass
class Child:
    """A headrace sub-command as a process, with its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_lines(self) -> str:
        """Returns the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])


class Supervisor:
    """Starts headrace sub-commands, and stops them in reverse order.

    Each child runs in its own session, so that Ctrl-C reaches only the supervisor, and holds a pipe
    from it, so that it does not outlive it.
    """

    def __init__(self, logs: Path, clock: Clock = time.monotonic) -> None:
        self._logs = logs
        self._clock = clock
        self._children: list[Child] = []

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Starts `headrace` with these arguments; its output goes to `<logs>/<name>.log`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("ab") as file:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", "headrace.deploy", *arguments, STOP_ON_EOF_OPTION],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_child_environment(os.environ),
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def check(self, *, may_end: Child | None = None) -> None:
        """Checks that all children are running.

        Raises:
            ChildDiedError: a child other than `may_end` has ended.
        """
        for child in self._children:
            status = child.process.poll()
            if status is not None and child is not may_end:
                raise ChildDiedError(
                    f"{child.name} ended with status {status}; the end of {child.log}:\n"
                    f"{child.last_lines()}"
                )

    def stop(self, child: Child, timeout_s: float) -> None:
        """Asks a child to stop, and kills it if it does not stop in time."""
        _ask_to_stop(child)
        try:
            child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _kill_session(child)
            child.process.wait()

    def stop_all(self, timeout_s: float) -> None:
        """Stops all children: first those that the oldest one serves, which stop together."""
        for child in self._children[1:]:
            _ask_to_stop(child)
        for child in reversed(self._children):
            self.stop(child, timeout_s)


def _ask_to_stop(child: Child) -> None:
    if child.process.stdin is not None:
        child.process.stdin.close()  # understood on every platform


def _kill_session(child: Child) -> None:
    """Kills a child and its descendants: a learner's Ray processes are in its session."""
    if sys.platform == "win32":
        child.process.kill()
    else:
        os.killpg(child.process.pid, signal.SIGKILL)


def _child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Turns off output buffering, so that logs can be followed."""
    return {"PYTHONUNBUFFERED": "1", **environment}
