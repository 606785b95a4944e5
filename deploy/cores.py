"""How many cores this process may use, and how children share them."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_1 = Path("/sys/fs/cgroup/cpu")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that numerical libraries read."""


def usable_cores() -> int:
    """Returns the cores that affinity and a container's quota leave; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    quota = _quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def thread_settings(threads: int) -> dict[str, str]:
    """Returns environment variables that limit numerical libraries to some threads."""
    return dict.fromkeys(THREADS, str(threads))


def _quota() -> float | None:
    """Returns a container's quota in cores; None without one."""
    try:
        if _CGROUP_2.exists():
            quota, period = _CGROUP_2.read_text().split()
        else:
            quota = (_CGROUP_1 / "cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP_1 / "cpu.cfs_period_us").read_text().strip()
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
