"""What runs inside RLlib: the env runner, the policy export and the training loop.

Names are loaded when they are first used: reading a run file needs neither Ray nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.learner.assigning import assign
    from headrace.learner.config import RunnerConfig
    from headrace.learner.env_runner import BrokerEnvRunner
    from headrace.learner.link import LearnerStopping

_MODULES = {
    "BrokerEnvRunner": "env_runner",
    "LearnerStopping": "link",
    "RunnerConfig": "config",
    "assign": "assigning",
}

__all__ = ["BrokerEnvRunner", "LearnerStopping", "RunnerConfig", "assign"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
