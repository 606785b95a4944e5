"""Which releases of Ray headrace works with: those that `make compat` passes with."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from headrace.protocol.errors import ConfigError

OLDEST = (2, 56)
NEWEST = (2, 60)


def require_supported_ray() -> None:
    """Checks the installed Ray, without importing it.

    Raises:
        ConfigError: Ray is missing, older or newer; the message says what to install.
    """
    wanted = f"pip install 'ray[rllib]>={_dotted(OLDEST)},<{NEWEST[0]}.{NEWEST[1] + 1}'"
    try:
        installed = version("ray")
    except PackageNotFoundError:
        raise ConfigError(
            "this needs RLlib, which is not installed: pip install 'headrace[learner]'"
        ) from None
    found = re.match(r"(\d+)\.(\d+)", installed)
    if found is None or not OLDEST <= (int(found[1]), int(found[2])) <= NEWEST:
        raise ConfigError(
            f"headrace works with Ray {_dotted(OLDEST)} to {_dotted(NEWEST)}, and Ray {installed} "
            f"is installed: {wanted}"
        )


def _dotted(minor: tuple[int, int]) -> str:
    return ".".join(map(str, minor))
