"""Errors for simulators that cannot be made: the same on actors and learner."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from headrace.protocol.errors import ConfigError, HeadraceError, first_line

FAULTS = (Exception, SystemExit)
"""What the code of users may raise; after `sys.exit` the process would end without a word."""
_UNKNOWN = frozenset({"NameNotFound", "NamespaceNotFound", "VersionNotFound", "UnregisteredEnv"})
"""Gymnasium's errors for an id that is not registered."""


@contextmanager
def making(name: str) -> Generator[None]:
    """Turns what an environment raises while it is made into an error that names it.

    Args:
        name: how the user names it.

    Raises:
        ConfigError: the body raised one of FAULTS, but no HeadraceError, which passes.
    """
    try:
        yield
    except HeadraceError:
        raise
    except FAULTS as error:
        raise ConfigError(
            f"cannot make the environment {name!r}: {first_line(error)}{_advice(error)}"
        ) from error


def _advice(error: BaseException) -> str:
    if type(error).__name__ in _UNKNOWN:
        return "; if a package of its own registers it, write package:Name-v0"
    if isinstance(error, ImportError):
        return "; is it installed, or in the folder in which headrace is started?"
    if isinstance(error, TypeError):
        return "; its arguments are written under [environment.config], or with --env-config"
    return ""
