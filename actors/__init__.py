"""Everything that runs beside a simulator: client, policy, agents and collectors.

May import `protocol`; each folder's docstring lists what else it may import. Names load lazily,
because the client needs neither ONNX Runtime nor Gymnasium.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.actors.agents.agent import Agent
    from headrace.actors.agents.vector_agent import VectorAgent
    from headrace.actors.connection.client import Client
    from headrace.actors.connection.config import ClientConfig
    from headrace.actors.inference.policy_client import PolicyClient
    from headrace.actors.policy.onnx_policy import OnnxPolicy
    from headrace.actors.recording.step_result import StepResult
    from headrace.actors.recording.vector_recorder import VectorRecorder
    from headrace.actors.simulators.collector import Collector
    from headrace.protocol.zeromq.invitation_file import load_invitation

_MODULES = {
    "Agent": "headrace.actors.agents.agent",
    "Client": "headrace.actors.connection.client",
    "ClientConfig": "headrace.actors.connection.config",
    "Collector": "headrace.actors.simulators.collector",
    "OnnxPolicy": "headrace.actors.policy.onnx_policy",
    "PolicyClient": "headrace.actors.inference.policy_client",
    "StepResult": "headrace.actors.recording.step_result",
    "VectorAgent": "headrace.actors.agents.vector_agent",
    "VectorRecorder": "headrace.actors.recording.vector_recorder",
    "load_invitation": "headrace.protocol.zeromq.invitation_file",
}
_FORMER_NAMES = {"BatchRecorder": "VectorRecorder"}

__all__ = [
    "Agent",
    "Client",
    "ClientConfig",
    "Collector",
    "OnnxPolicy",
    "PolicyClient",
    "StepResult",
    "VectorAgent",
    "VectorRecorder",
    "load_invitation",
]


def __getattr__(name: str) -> Any:
    if name in _FORMER_NAMES:
        former, name = name, _FORMER_NAMES[name]
        warnings.warn(f"{former} was renamed {name}", DeprecationWarning, stacklevel=2)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
