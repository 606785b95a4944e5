"""How much memory a process has. Linux; 0 elsewhere."""

from __future__ import annotations

import os
from pathlib import Path


def can_be_told() -> bool:
    """Returns whether this system tells it."""
    return Path("/proc/self/statm").exists()


def resident_bytes(pid: int | str = "self") -> int:
    """Returns the resident memory of a process, 0 if it has ended."""
    try:
        statm = Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
