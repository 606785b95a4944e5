"""Packages that only an extra of headrace installs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Literal

from headrace.protocol.errors import ConfigError

Extra = Literal["actor", "learner"]

_PACKAGES = frozenset(
    {"gymnasium", "matplotlib", "onnx", "onnxruntime", "onnxscript", "ray", "tensorboardX", "torch"}
)


@contextlib.contextmanager
def extra(name: Extra) -> Generator[None]:
    """Turns the failed import of such a package into advice.

    Raises:
        ConfigError: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _PACKAGES:
            raise
        raise ConfigError(
            f"this needs {package}, which is not installed: pip install 'headrace[{name}]'"
        ) from error
