"""Measures how slow this machine is now, and scales every deadline of the tests.

`HEADRACE_TEST_SCALE=3` sets the scale; without it a short benchmark runs at the start, so a busy
machine counts as a slow one. Processes that a test run starts inherit the scale.
"""

from __future__ import annotations

import os
import time

_VARIABLE = "HEADRACE_TEST_SCALE"
_REFERENCE_S = 0.2
"""Duration of the benchmark on the machine for which the deadlines were chosen."""
_MARGIN = 1.5
"""For a machine that is busy now and may be busier later."""
_LARGEST = 20.0


def _measure_s() -> float:
    begun_s = time.perf_counter()
    numbers: dict[int, int] = {}
    for index in range(1_500_000):
        numbers[index % 4096] = index * index
    return time.perf_counter() - begun_s


def _scale() -> float:
    if _VARIABLE not in os.environ:
        ratio = _measure_s() / _REFERENCE_S
        scale = 1.0 if ratio < _MARGIN else min(ratio * _MARGIN, _LARGEST)
        os.environ[_VARIABLE] = f"{scale:.2f}"
    return float(os.environ[_VARIABLE])


SCALE = _scale()


def scaled(seconds: float) -> float:
    """Returns a deadline, scaled for this machine."""
    return seconds * SCALE
