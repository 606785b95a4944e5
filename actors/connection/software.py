"""What runs beside a simulator: names and versions, for `headrace status`."""

from __future__ import annotations

import platform
from importlib import metadata

_LIBRARIES = ("pyzmq", "onnxruntime")


def software() -> str:
    """Returns headrace's version, Python's, and those of the libraries that are installed."""
    versions = [f"headrace-python {_version('headrace')}", f"Python {platform.python_version()}"]
    found = ((name, _version(name)) for name in _LIBRARIES)
    return ", ".join([*versions, *(f"{name} {version}" for name, version in found if version)])


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
