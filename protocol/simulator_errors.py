"""Errors for simulators that cannot be made: the same on actors and learner."""

from __future__ import annotations

from headrace.protocol.errors import ConfigError, first_line

_UNKNOWN = frozenset({"NameNotFound", "NamespaceNotFound", "VersionNotFound", "UnregisteredEnv"})
"""Gymnasium's errors for an id that is not registered."""


def cannot_make(name: str, error: Exception) -> ConfigError:
    """Returns what to raise, from `error`, if an environment cannot be made.

    Args:
        name: how the user names it.
    """
    return ConfigError(f"cannot make the environment {name!r}: {first_line(error)}{_advice(error)}")


def _advice(error: Exception) -> str:
    if type(error).__name__ in _UNKNOWN:
        return "; if a package of its own registers it, write package:Name-v0"
    if isinstance(error, ImportError):
        return "; is it installed, or in the folder in which headrace is started?"
    if isinstance(error, TypeError):
        return "; its arguments are written under [environment.config], or with --env-config"
    return ""
