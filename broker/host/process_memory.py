"""The resident memory of a process. Linux; 0 elsewhere."""

from __future__ import annotations

import os
from pathlib import Path


def is_supported() -> bool:
    """Returns whether this system reports it."""
    return Path("/proc/self/statm").exists()


def resident_bytes(pid: int | str = "self") -> int:
    """Returns the resident memory of a process; 0 if it has ended."""
    try:
        statm = Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
