"""Sentences from errors that Ray's remote processes raised."""

from __future__ import annotations

from ray.exceptions import RayError

from headrace.protocol.errors import first_line, shortened

_LONGEST = 300


def cause_of(error: Exception) -> str:
    """Returns the line of an error that names its cause: the last one, if a process raised it."""
    if not isinstance(error, RayError):
        return first_line(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened((lines[-1] if lines else repr(error)).rstrip(".:"), _LONGEST)


def advice_of(error: Exception) -> str:
    """Returns what to do if learners cannot connect to one another, empty for other errors."""
    if not isinstance(error, RayError) or "gloo" not in str(error).lower():
        return ""
    return (
        "; learners on several hosts connect to one another: set GLOO_SOCKET_IFNAME to the network "
        "interface between them, on each host before `ray start`"
    )
