"""The code that runs inside RLlib: the env runner, the policy export and the training loop.

Names load lazily, because reading a run file needs neither Ray nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.learner.config import RunnerConfig
    from headrace.learner.connection.link import LearnerStopping
    from headrace.learner.runner.assign import assign
    from headrace.learner.runner.env_runner import BrokerEnvRunner

_MODULES = {
    "BrokerEnvRunner": "runner.env_runner",
    "LearnerStopping": "connection.link",
    "RunnerConfig": "config",
    "assign": "runner.assign",
}

__all__ = ["BrokerEnvRunner", "LearnerStopping", "RunnerConfig", "assign"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
