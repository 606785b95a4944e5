"""Maps agents to modules by the patterns of a run file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from headrace.protocol.errors import ConfigError


@dataclass(frozen=True)
class ModuleMapping:
    """RLlib's `policy_mapping_fn`: the first module with a pattern that matches the agent's id."""

    patterns: Mapping[str, tuple[str, ...]]

    def __call__(self, agent_id: Any, *_: Any, **__: Any) -> str:
        for module, patterns in self.patterns.items():
            if any(fnmatchcase(str(agent_id), pattern) for pattern in patterns):
                return module
        raise ConfigError(
            f"[learner.modules] names no module for agent {agent_id!r}; add its id, or a pattern "
            'such as "*"'
        )
