"""How many connections a process may have: each takes an open file."""

from __future__ import annotations

import errno
import os
import resource
from enum import Enum, auto

_WARN_SHARE, _FULL_SHARE, _ROOM_SHARE = 0.75, 0.90, 0.85


class Capacity(Enum):
    """What changes with the number of open files."""

    UNCHANGED = auto()
    NEARLY_FULL = auto()
    FULL = auto()
    HAS_ROOM = auto()


class CapacityWatch:
    """Says when to warn, when to let nobody in, and when to let peers in again.

    Attributes:
        is_full: whether nobody is let in.
    """

    def __init__(self, max_open_files: int) -> None:
        self.max_open_files = max_open_files
        self._has_warned = False
        self.is_full = False

    def judge(self, open_files: int) -> Capacity:
        """Returns what to do now."""
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
    """Returns whether a look is worth its time, without counting: by the next free descriptor."""
    try:
        next_free = os.dup(0)
    except OSError:
        return True
    os.close(next_free)
    return next_free >= _FULL_SHARE * max_open_files


def open_files() -> int | None:
    """Returns how many files this process has open, None where that cannot be told."""
    try:
        with os.scandir("/proc/self/fd") as entries:
            return sum(1 for _ in entries)
    except OSError as error:
        # To look takes a file, too.
        return max_open_files() if error.errno == errno.EMFILE else None


def max_open_files() -> int:
    """Returns how many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft
