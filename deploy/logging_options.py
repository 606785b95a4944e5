"""What a command logs: `-q`, `-v` and `--log-level`."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from headrace.protocol.errors import ConfigError

_LEVELS = ("debug", "info", "warning", "error")
_DEFAULT = "info"
_LIBRARIES = (
    "onnxscript",
    "onnx_ir",
    "ray._common",
    "ray._private",
    "ray.rllib",
    "ray.tune",
    "torch.onnx",
)
"""Loggers that report on themselves rather than on a run."""


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command, and sets up logging before it is called."""

    @click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Log everything.")
    @click.option("-q", "--quiet", "is_quiet", is_flag=True, help="Log warnings and errors only.")
    @click.option(
        "--log-level", type=click.Choice(_LEVELS), help=f"Least level; default: {_DEFAULT}."
    )
    @functools.wraps(command)
    def logging_command(
        *arguments: Any, is_verbose: bool, is_quiet: bool, log_level: str | None, **options: Any
    ) -> Any:
        flags = {"debug": is_verbose, "warning": is_quiet, log_level: log_level is not None}
        chosen = [level for level, is_chosen in flags.items() if is_chosen]
        if len(chosen) > 1:
            raise ConfigError("give one of -v, -q and --log-level")
        configure_logging(str(chosen[0]) if chosen else _DEFAULT)
        return command(*arguments, **options)

    return logging_command


def configure_logging(level: str) -> None:
    """Logs to standard error, one line per event."""
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
        handlers=[_StderrHandler()],
    )
    quieten_libraries()


def quieten_libraries() -> None:
    """Hides what libraries log about themselves; again after an import that sets levels."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        for library in _LIBRARIES:
            logging.getLogger(library).setLevel(logging.ERROR)


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which a live view replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr)
        except (OSError, ValueError):  # the reader has gone
            self.handleError(record)
