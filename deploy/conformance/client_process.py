"""The client under test, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Self

ADDRESS_PLACEHOLDER = "{broker}"
ADDRESS_VARIABLE = "HEADRACE_BROKER"

_LAST_LINES = 8


class ClientProcess:
    """Runs a command until the context exits, and keeps its output for the report."""

    def __init__(self, command: Sequence[str], address: str) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `__exit__`
        words = [word.replace(ADDRESS_PLACEHOLDER, address) for word in command]
        self._process = subprocess.Popen(  # noqa: S603 - the user's own command
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, ADDRESS_VARIABLE: address},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()

    @property
    def exit_status(self) -> int | None:
        """None while it is running; negative if a signal ended it."""
        return self._process.poll()

    def ask_to_end(self) -> None:
        """Sends SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    @property
    def last_output(self) -> str:
        """The last lines of its output."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
