"""Exit codes of headrace commands."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Named exit codes; scripts may rely on the numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """The command line is wrong (click's code)."""
    CONFIG = 3
    """A file or an option is invalid; the message says what to write."""
    REFUSED = 4
    """The broker serves another learner, or speaks another wire version."""
    SUPERSEDED = 5
    """A later process uses the same actor id."""
    CHILD_DIED = 6
    """`up`: one of the processes ended unexpectedly."""
    GOAL_MISSED = 7
    """`learner`: the run ended before it reached its target return."""
    UNREACHABLE = 8
    """`status`: no broker answers."""
