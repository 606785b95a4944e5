"""Two sides measured in turn, so that noise of the machine affects both alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import msgspec

PAIRS = 7

Measure = Callable[[], float]


class Row(msgspec.Struct, frozen=True):
    """One line of a result.

    Attributes:
        ours, theirs: medians, in `unit`; theirs is None without a comparison.
        ratio: median over the pairs of ours / theirs, with the smallest and the largest.
    """

    case: str
    ours: float
    theirs: float | None
    unit: str
    ratio: float | None = None
    ratio_min: float | None = None
    ratio_max: float | None = None


def compare(case: str, unit: str, ours: Measure, theirs: Measure, pairs: int = PAIRS) -> Row:
    """Returns medians over interleaved pairs; the first pair is a warm-up and does not count."""
    measured: list[tuple[float, float]] = []
    for index in range(pairs + 1):
        pair = (ours(), theirs()) if index % 2 else tuple(reversed((theirs(), ours())))
        measured.append((pair[0], pair[1]))
    counted = measured[1:]
    ratios = [one / other for one, other in counted]
    return Row(
        case,
        statistics.median(one for one, _ in counted),
        statistics.median(other for _, other in counted),
        unit,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def alone(case: str, unit: str, value: float) -> Row:
    """Returns a row without a comparison."""
    return Row(case, value, None, unit)
