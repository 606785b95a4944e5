"""What to write in place of a mistake in a run file."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from headrace.learner.training.run_sections import SPACE_TYPES, SpaceSection
from headrace.protocol.spelling import nearest

_TABLES: Mapping[str, tuple[str, ...]] = {
    "training": (
        *("lr", "gamma", "lambda_", "grad_clip", "entropy_coeff", "clip_param", "num_epochs"),
        *("minibatch_size", "train_batch_size_per_learner", "replay_buffer_config"),
    ),
    "env_runners": ("num_env_runners", "num_envs_per_env_runner", "rollout_fragment_length"),
    "learners": ("num_learners", "num_gpus_per_learner", "num_cpus_per_learner"),
    "evaluation": ("evaluation_interval", "evaluation_duration", "evaluation_config"),
    "model": ("fcnet_hiddens", "fcnet_activation", "conv_filters", "use_lstm", "max_seq_len"),
}
"""Keys that people write directly under [learner], by the table that they belong to."""
_SPACES = {str(kind.__struct_config__.tag): kind for kind in get_args(SpaceSection)}
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.+)`")
_WRONG_VALUE = re.compile(r"Invalid (?:enum )?value '(.+)'")


def hint_for_key(key: str, known: Iterable[str]) -> str:
    """Returns a hint for a key that a section does not have."""
    names = set(known)
    if "training" in names:
        for table, keys in _TABLES.items():
            if key in keys:
                return f"write it under [learner.{table}]"
    return nearest(key, names)


def hint_for_value(error: str, path: str, tree: Any, kind: Any) -> str:
    """Returns a hint for one of msgspec's errors, or nothing.

    Args:
        path: of the value, with dots.
        tree: the whole file.
        kind: the type that it was converted to.
    """
    if (unknown := _UNKNOWN_KEY.fullmatch(error)) is not None:
        section = _at(tree, path)
        space = _SPACES.get(str(section.get("type"))) if isinstance(section, Mapping) else None
        return f"; {nearest(unknown[1], _fields(space))}" if space is not None else ""
    if (wrong := _WRONG_VALUE.match(error)) is None:
        return ""
    if path.endswith("type"):
        return f"; {nearest(wrong[1], SPACE_TYPES)}"
    known = _literals(kind, path)
    return f"; {nearest(wrong[1], known)}" if known else ""


def _at(tree: Any, path: str) -> Any:
    """Returns the value at a path; None where it leads through a list or is not there."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _fields(kind: type[msgspec.Struct]) -> list[str]:
    return ["type", *(field.name for field in msgspec.structs.fields(kind))]


def _literals(kind: Any, path: str) -> list[str]:
    """Returns the texts that a field may have, none if it may be anything else."""
    for key in path.split("."):
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return []
        kind = {field.name: field.type for field in msgspec.structs.fields(kind)}.get(key)
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    texts = [text for each in options if get_origin(each) is Literal for text in get_args(each)]
    return [text for text in texts if isinstance(text, str)]
