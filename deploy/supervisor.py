"""A group of child processes that are stopped together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.process import STOP_ON_EOF_OPTION
from headrace.deploy.restarts import Restarts
from headrace.protocol.errors import HeadraceError

Clock = Callable[[], float]
_LOG = logging.getLogger("headrace.up")
_LAST_LINES = 15
_HOPELESS = (ExitCode.USAGE, ExitCode.CONFIG, ExitCode.REFUSED, ExitCode.SUPERSEDED)
"""Exit codes of children that would end in the same way again."""


class ChildDiedError(HeadraceError):
    """Raised when a process ended that should still be running; contains its last log lines."""


@dataclass
class Child:
    """A headrace sub-command as a process, with its log.

    Attributes:
        restarts: when to start it again after it died; None for never.
        restart_at_s: when it is started again; None while it runs.
    """

    name: str
    arguments: Sequence[str]
    settings: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]
    started_s: float
    restarts: Restarts | None = None
    restart_at_s: float | None = None

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

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        settings: Mapping[str, str] = {},
        restarts: Restarts | None = None,
    ) -> Child:
        """Starts `headrace` with these arguments; its output goes to `<logs>/<name>.log`.

        Args:
            settings: environment variables, unless they are set.
            restarts: when to start it again if it dies; None for never.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        process = _run(arguments, settings, log)
        child = Child(name, arguments, settings, log, process, self._clock(), restarts)
        self._children.append(child)
        return child

    def check(self, *, may_end: Child | None = None) -> None:
        """Checks that all children are running, and restarts those that should be.

        Raises:
            ChildDiedError: a child other than `may_end` has ended, and a restart does not help.
        """
        for child in self._children:
            status = child.process.poll()
            if status is not None and child is not may_end:
                self._restart_or_raise(child, status)

    def _restart_or_raise(self, child: Child, status: int) -> None:
        now_s = self._clock()
        if child.restart_at_s is None:
            pause_s = None
            if child.restarts is not None and status not in _HOPELESS:
                pause_s = child.restarts.pause_after(now_s - child.started_s)
            if pause_s is None:
                raise ChildDiedError(
                    f"{child.name} ended with status {status}; the end of {child.log}:\n"
                    f"{child.last_lines()}"
                )
            _LOG.warning(
                "%s ended with status %d: restarting it in %.0f s; see %s",
                child.name,
                status,
                pause_s,
                child.log,
            )
            child.restart_at_s = now_s + pause_s
        elif now_s >= child.restart_at_s:
            child.process = _run(child.arguments, child.settings, child.log)
            child.started_s, child.restart_at_s = now_s, None

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


def _run(
    arguments: Sequence[str], settings: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "headrace.deploy", *arguments, STOP_ON_EOF_OPTION],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_child_environment({**settings, **os.environ}),
        )


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
