"""How late ticks were."""

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
        due_s: when it was due, on the monotonic clock, which all processes of a host share.
        late_s: how long after that its work was done.
    """

    due_s: float
    late_s: float


def summary(ticks: Sequence[Tick]) -> str:
    """Returns percentiles, and what became of the rest.

    A tick is missed if the next one was due when it was done. Those that were due meanwhile were
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
    """Returns what `write_ticks` wrote."""
    lines = path.read_text().splitlines()
    return [Tick(*map(float, line.split())) for line in lines]
