"""Limits on connections: each takes a file descriptor."""

from __future__ import annotations

import errno
import os
import sys
from enum import Enum, auto

_WARN_SHARE, _FULL_SHARE, _ROOM_SHARE = 0.75, 0.90, 0.85


class Capacity(Enum):
    """A change in capacity for connections."""

    UNCHANGED = auto()
    NEARLY_FULL = auto()
    FULL = auto()
    HAS_ROOM = auto()


class CapacityWatch:
    """Decides when to warn, when to refuse new connections, and when to admit them again.

    Attributes:
        is_full: whether new connections are refused.
    """

    def __init__(self, max_open_files: int) -> None:
        self.max_open_files = max_open_files
        self._has_warned = False
        self.is_full = False

    def judge(self, open_files: int) -> Capacity:
        """Returns the change at this number of open file descriptors."""
        share = open_files / self.max_open_files
        if self.is_full:
            if share >= _ROOM_SHARE:
                return Capacity.UNCHANGED
            self.is_full = False
            return Capacity.HAS_ROOM
        if share >= _FULL_SHARE:
            self.is_full = self._has_warned = True
            return Capacity.FULL
        if share >= _WARN_SHARE and not self._has_warned:
            self._has_warned = True
            return Capacity.NEARLY_FULL
        self._has_warned &= share >= _WARN_SHARE
        return Capacity.UNCHANGED


def may_be_full(max_open_files: int) -> bool:
    """Returns whether counting is worthwhile, judged by the next free descriptor."""
    try:
        next_free = os.dup(0)
    except OSError:
        return True
    os.close(next_free)
    return next_free >= _FULL_SHARE * max_open_files


def open_files() -> int | None:
    """Returns this process's number of open file descriptors; None if it cannot be determined."""
    try:
        with os.scandir("/proc/self/fd") as entries:
            return sum(1 for _ in entries)
    except OSError as error:
        # Counting itself takes a file descriptor.
        return max_open_files() if error.errno == errno.EMFILE else None


def max_open_files() -> int:
    """Returns the limit of open file descriptors of this process; Windows has none."""
    try:
        import resource
    except ImportError:
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft
