"""Runs a broker in a child process with a memory limit, and restarts it when it dies.

A peer can make libzmq buffer an endless message, whatever limits are set, and nothing in the
process can stop that. Killing a broker loses nothing, so the guard kills it and starts another.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from headrace.broker.host.process_memory import is_supported, resident_bytes
from headrace.deploy.exit_codes import ExitCode
from headrace.deploy.process import STOP_ON_EOF_OPTION
from headrace.protocol.errors import ConfigError
from headrace.protocol.limits import MIB

_LOG = logging.getLogger("headrace.guard")
_LOOK_EVERY_S = 0.02
_MANY_DEATHS, _IN_S = 20, 10.0


class BrokerGuard:
    """Runs one broker after another at one address. Call `run` once; `stop` from any thread."""

    def __init__(
        self, arguments: Sequence[str], max_bytes: int, announce: Path | None = None
    ) -> None:
        if not is_supported():
            raise ConfigError("--max-memory-mib needs Linux, which reports a process's memory")
        self._arguments = list(arguments)
        self._max_bytes = max_bytes
        self._announce = announce or Path(tempfile.mkdtemp(prefix="headrace-")) / "broker.json"
        self._stopping = threading.Event()
        self._deaths: deque[float] = deque(maxlen=_MANY_DEATHS)

    def stop(self) -> None:
        """Asks the broker to shut down gracefully, and `run` to return."""
        self._stopping.set()

    def run(self) -> int:
        """Returns the broker's exit status once it was stopped, or CHILD_DIED if it keeps dying."""
        bound: list[str] = []
        while True:
            self._announce.unlink(missing_ok=True)
            child = self._start(bound)
            status = self._watch(child)
            if self._stopping.is_set() or status in (ExitCode.OK, ExitCode.CONFIG, ExitCode.USAGE):
                return status
            if not self._announce.exists() or self._keeps_dying():
                _LOG.error("the broker keeps dying (status %d): giving up", status)
                return ExitCode.CHILD_DIED
            bound = self._bound()
            _LOG.warning("the broker died (status %d): restarting it", status)

    def _start(self, bound: Sequence[str]) -> subprocess.Popen[bytes]:
        # If an option is repeated, the last one counts.
        own = [*bound, "--announce", str(self._announce), STOP_ON_EOF_OPTION]
        return subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "headrace.deploy", "broker", *self._arguments, *own],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _bound(self) -> list[str]:
        """Returns the options that make the next broker listen at the same addresses."""
        found = json.loads(self._announce.read_text())
        http = (found["http"] or "").removeprefix("http://")
        return ["--address", found["address"], "--http", http]

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        while (status := child.poll()) is None:
            if self._stopping.wait(_LOOK_EVERY_S):
                child.send_signal(signal.SIGTERM)
                return child.wait()
            memory = resident_bytes(child.pid)
            if memory > self._max_bytes:
                _LOG.error(
                    "killing the broker: it uses %d MiB, more than %d",
                    memory // MIB,
                    self._max_bytes // MIB,
                )
                child.kill()
        return status

    def _keeps_dying(self) -> bool:
        self._deaths.append(time.monotonic())
        is_full = len(self._deaths) == _MANY_DEATHS
        return is_full and self._deaths[-1] - self._deaths[0] < _IN_S
