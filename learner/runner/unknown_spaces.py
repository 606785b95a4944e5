"""Spaces of a remote runner that could not be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from headrace.protocol.errors import ConfigError


class UnknownSpaces(Mapping[str, Any]):
    """Raises its error, in the process that uses it, as soon as a space is asked for.

    RLlib drops the errors of remote runners' constructors, and fails later without their reasons.
    """

    def __init__(self, error: ConfigError) -> None:
        self._error = error

    def __getitem__(self, key: str) -> NoReturn:
        raise self._error

    def __iter__(self) -> Iterator[str]:
        raise self._error

    def __len__(self) -> NoReturn:
        raise self._error

    def __repr__(self) -> str:
        return f"unknown: {self._error}"
