"""Throughput of a broker with a journal, against appending the same bytes to a synced file."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from benchmarks.broker import take_megabytes_per_s, through_broker
from benchmarks.cartpole import make_batch
from benchmarks.pairs import Row, compare
from headrace.protocol.trajectory import pack_batch

_CASES = (("4 KiB", 3, 20), ("64 KiB", 71, 20), ("1 MiB", 58, 400))
_BYTES = 64 * 1024 * 1024
_SMALL_BYTES = 8 * 1024 * 1024
_GROUPS = (1, 32)
"""Batches per sync: one, and as many as the learner takes at once."""


def run() -> list[Row]:
    """Measures each size."""
    return [
        _compare(f"{name}, a sync for {group}", payload, episodes * steps, group)
        for name, episodes, steps in _CASES
        for payload in (pack_batch(make_batch(episodes, steps)),)
        for group in _GROUPS
    ]


def _compare(case: str, payload: bytes, env_steps: int, group: int) -> Row:
    total = _BYTES if len(payload) > 8192 else _SMALL_BYTES
    count = max(32, total // len(payload))
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
        through_broker(payload, env_steps, journal=f"{folder}/journal") as path,
    ):
        return compare(
            case,
            "MB/s",
            lambda: take_megabytes_per_s(path.link, payload, env_steps, count),
            lambda: _append(Path(folder) / "raw", payload, count, group),
        )


def _append(path: Path, payload: bytes, count: int, group: int) -> float:
    """Returns the rate of appending batches in MB/s, with a sync after each group."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    header = b"h" * 150
    started_s = time.perf_counter()
    for _ in range(0, count, group):
        os.writev(file, [header, payload] * group)
        os.fdatasync(file)
    elapsed_s = time.perf_counter() - started_s
    os.close(file)
    path.unlink()
    return count * len(payload) / elapsed_s / 1e6
