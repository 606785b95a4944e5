"""The lateness of ticks, and its percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

PERIOD_S = 0.02
"""50 Hz."""
_PERCENTILES = (50.0, 99.0, 99.9, 100.0)


class Tick(NamedTuple):
    """One tick.

    Attributes:
        due_s: its deadline, on the monotonic clock, which all processes of a host share.
        late_s: seconds from the deadline until its work was done.
    """

    due_s: float
    late_s: float


def summary(ticks: Sequence[Tick]) -> str:
    """Returns percentiles of lateness, and the numbers of missed and skipped ticks.

    A tick is missed if the next one was due when it was done. Ticks due in the meantime are
    skipped.
    """
    if not ticks:
        return "no ticks"
    late_ms = 1000 * np.array([tick.late_s for tick in ticks])
    p50, p99, p999, most = np.percentile(late_ms, _PERCENTILES).tolist()
    missed = int(np.count_nonzero(late_ms >= 1000 * PERIOD_S))
    skipped = round((ticks[-1].due_s - ticks[0].due_s) / PERIOD_S) + 1 - len(ticks)
    return (
        f"{len(ticks)} ticks, late by {p50:.2f} ms (median), {p99:.2f} (99 %), "
        f"{p999:.2f} (99.9 %), {most:.2f} (most), {missed} missed, {skipped} skipped"
    )


def write_ticks(path: Path, ticks: Iterable[Tick]) -> None:
    """Writes one line per tick."""
    path.write_text("".join(f"{tick.due_s} {tick.late_s}\n" for tick in ticks))


def read_ticks(path: Path) -> list[Tick]:
    """Returns the ticks in a file of `write_ticks`."""
    lines = path.read_text().splitlines()
    return [Tick(*map(float, line.split())) for line in lines]
