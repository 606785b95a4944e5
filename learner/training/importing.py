"""Loads functions given as `module:function` in run files and options. Importable without Ray."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from headrace.protocol.errors import ConfigError, first_line
from headrace.protocol.simulator_errors import FAULTS


def load_function(source: str, where: str) -> Callable[..., Any]:
    """Returns the function `module:function`.

    Args:
        where: the setting that names it, for the error message.

    Raises:
        ConfigError: there is no such function.
    """
    module, _, name = source.partition(":")
    if not name:
        raise ConfigError(f"{where} {source!r} is not of the form module:function")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except FAULTS as error:
        raise ConfigError(f"{where} {source}: {first_line(error)}") from error
    return function
