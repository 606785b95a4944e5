"""Hides modules that only Unix has; Python imports this file at its start."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

_modules: dict[str, Any] = sys.modules  # pyright: ignore[reportAssignmentType]
for _name in ("fcntl", "resource"):
    _modules[_name] = None
for _owner, _missing in ((os, "sched_getaffinity"), (signal, "pthread_kill")):
    if hasattr(_owner, _missing):
        delattr(_owner, _missing)
