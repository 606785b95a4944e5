"""Whether a run's checkpoint fits what its run file says now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from headrace.learner.training.run_sections import LearnerRun
from headrace.protocol.errors import ConfigError

_NETWORK = (
    "algorithm",
    "module",
    "model",
    "modules",
    "flatten_observations",
    "observation_filter",
    "frame_stack",
)
_SPACES = ("observation_space", "action_space")
_SECTIONS = {"learner": _NETWORK, "environment": _SPACES}


def require_same_network(folder: Path, plan: LearnerRun) -> None:
    """Compares a run with the config that was written when it began; the rest may differ.

    Raises:
        ConfigError: the network, or what it sees, is another one.
    """
    path = folder / "config.json"
    try:
        former = json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot resume: {path} cannot be read: {error}") from error
    sections = [former.get(name, {}) for name in _SECTIONS] if isinstance(former, dict) else [None]
    if not all(isinstance(section, dict) for section in sections):
        raise ConfigError(f"cannot resume: {path} does not hold a run's sections")
    present = msgspec.to_builtins(plan)
    for section, keys in _SECTIONS.items():
        was, now = former.get(section, {}), present[section]
        for key in keys:
            if key in was and was[key] != now[key]:
                raise ConfigError(_differs(section, key, was[key], now[key]))


def other_network(error: Exception) -> ConfigError:
    """Returns the error for a checkpoint that RLlib could not load into the present modules."""
    first = next((line.strip() for line in str(error).splitlines() if "size mismatch" in line), "")
    return ConfigError(
        "cannot resume: the checkpoint is that of another network, "
        f"{first or error}; restore the run file's former environment and module, or begin a new "
        "run under another [run] name"
    )


def _differs(section: str, key: str, was: Any, now: Any) -> str:
    return (
        f"cannot resume: the checkpoint was made with [{section}] {key} = {json.dumps(was)}, the "
        f"run file has {json.dumps(now)}; restore it, or begin a new run under another [run] name"
    )
