"""A process's observations, in a file of its own that outlives it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Clock = Callable[[], float]


@dataclass(frozen=True)
class Entry:
    """One event; `at_s` is the machine's monotonic clock, the same for all processes on it."""

    at_s: float
    kind: str
    fields: tuple[Any, ...]


class Diary:
    """Appends entries, each with one write, so that they survive the writer's kill -9."""

    def __init__(self, path: Path, clock: Clock = time.monotonic) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._clock = clock

    def write(self, kind: str, *fields: Any) -> None:
        """Appends an entry."""
        line = json.dumps([self._clock(), kind, *fields], separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")


def read_diary(path: Path) -> Iterator[Entry]:
    """Yields the entries in the order of writing."""
    with path.open() as file:
        for line in file:
            at_s, kind, *fields = json.loads(line)
            yield Entry(at_s, kind, tuple(fields))


def read_diaries(folder: Path) -> list[Entry]:
    """Returns the entries of all diaries in a folder, by time."""
    entries = [entry for path in sorted(folder.glob("*.diary")) for entry in read_diary(path)]
    return sorted(entries, key=lambda entry: entry.at_s)
