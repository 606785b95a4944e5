"""The broker: a pure router inside a thin poll loop.

`service` is the loop, `effect_runner` performs the router's effects, and each folder is one layer
below them. May import `protocol`. Names are imported lazily.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.broker.config import BrokerConfig, RouterConfig
    from headrace.broker.service import BrokerService

_MODULES = {"BrokerConfig": "config", "BrokerService": "service", "RouterConfig": "config"}

__all__ = ["BrokerConfig", "BrokerService", "RouterConfig"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
