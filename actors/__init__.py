"""What runs beside a simulator: the client, the policy and the collector.

Names are loaded when they are first used: the client needs neither ONNX Runtime nor Gymnasium.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.actors.agent import Agent, VectorAgent
    from headrace.actors.client import Client
    from headrace.actors.collector import Collector
    from headrace.actors.config import ClientConfig
    from headrace.actors.policy import OnnxPolicy
    from headrace.actors.policy_client import PolicyClient
    from headrace.actors.recorder import BatchRecorder, StepResult

_MODULES = {
    "Agent": "agent",
    "BatchRecorder": "recorder",
    "Client": "client",
    "ClientConfig": "config",
    "Collector": "collector",
    "OnnxPolicy": "policy",
    "PolicyClient": "policy_client",
    "StepResult": "recorder",
    "VectorAgent": "agent",
}

__all__ = [
    "Agent",
    "BatchRecorder",
    "Client",
    "ClientConfig",
    "Collector",
    "OnnxPolicy",
    "PolicyClient",
    "StepResult",
    "VectorAgent",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
