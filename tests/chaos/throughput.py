"""The rate of batches handed to training, from the diaries."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence

from chaos.diary import Entry

_WINDOW_S = 0.25
_BEFORE_S, _FALLS_S = 1.6, 0.1
"""The window of the usual rate; a fault's entry is written once the process has ended."""


class Throughput:
    """Batches handed to training, by time."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._at_s = [entry.at_s for entry in entries if entry.kind == "handed"]

    def between(self, begin_s: float, end_s: float) -> float:
        """Returns batches per second."""
        count = bisect.bisect(self._at_s, end_s) - bisect.bisect(self._at_s, begin_s)
        return count / (end_s - begin_s)

    def recovery_s(self, fault_at_s: float, until_s: float, wanted_per_s: float) -> float:
        """Returns the time from a fault until a quarter second with the wanted rate has passed.

        Infinity if there is none before `until_s`, the time of the next fault.
        """
        begin_s = fault_at_s
        while begin_s + _WINDOW_S <= until_s:
            if self.between(begin_s, begin_s + _WINDOW_S) >= wanted_per_s:
                return begin_s + _WINDOW_S - fault_at_s
            begin_s += _WINDOW_S / 10
        return float("inf")


def recoveries_s(throughput: Throughput, faults_at_s: Sequence[float], end_s: float) -> list[float]:
    """Returns, for each fault, the time to recover 90 % of the rate just before it."""
    limits = [*faults_at_s[1:], end_s]
    return [
        throughput.recovery_s(
            at_s, until_s, 0.9 * usual_rate(throughput, at_s - _BEFORE_S, at_s - _FALLS_S)
        )
        for at_s, until_s in zip(faults_at_s, limits, strict=True)
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def usual_rate(throughput: Throughput, begin_s: float, end_s: float) -> float:
    """Returns the median of the rates over quarter seconds."""
    count = int((end_s - begin_s) / _WINDOW_S)
    starts = [begin_s + index * _WINDOW_S for index in range(count)]
    return statistics.median(throughput.between(start, start + _WINDOW_S) for start in starts)
