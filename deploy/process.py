"""Process-level behaviour shared by all commands: stop signals, the open-files limit."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from headrace.deploy.grace import Grace
from headrace.protocol.errors import ConfigError

STOP_ON_EOF_OPTION = "--stop-on-eof"


def raise_open_files_limit() -> int | None:
    """Raises this process's limit of open files to the hard limit; returns the new limit.

    Each connection of a broker's peer takes one, and the usual soft limit is 1,024. Windows has no
    such limit: then it returns None.
    """
    try:
        import resource
    except ImportError:
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def on_stop_signal(
    stop: Callable[[], None], *, stop_on_eof: bool = False, grace: Grace | None = None
) -> None:
    """Calls `stop` in a thread on SIGINT and SIGTERM, and optionally when standard input closes.

    It is not called in the handler, since the main thread may hold the lock that `stop` takes, such
    as that of an event that it is about to wait for.

    `stop_on_eof` ties a child to its parent on every platform: however the parent ends, its end of
    the pipe is closed. `grace` limits how long the main thread may take to stop.
    """
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()  # whose `put` is reentrant

    def handle(signum: int, _frame: FrameType | None) -> None:
        if grace is not None:
            grace.raise_if_over()
        signals.put(signum)

    def stop_in_time() -> None:
        stop()
        if grace is not None:
            grace.begin()

    def wait_for_signals() -> None:
        while True:
            signals.get()
            stop_in_time()

    threading.Thread(target=wait_for_signals, daemon=True).start()
    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    if stop_on_eof:
        threading.Thread(target=_wait_for_eof, args=(stop_in_time,), daemon=True).start()


def _wait_for_eof(stop: Callable[[], None]) -> None:
    # Not through sys.stdin: its lock, held by a daemon thread, aborts the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    stop()


def announce(path: Path, found: Mapping[str, str | None]) -> None:
    """Writes a process's findings, such as its bound addresses, to a JSON file atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(json.dumps(found))
        os.replace(temporary, path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write --announce {path}: {error}") from error
