"""The TOML file that describes a run, read by every command."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from headrace.deploy.run_file_hints import hint_for_key, hint_for_value
from headrace.learner.training.run_sections import (
    EnvironmentSection,
    LearnerSection,
    RunSection,
)
from headrace.protocol.endpoints import DEFAULT_ADDRESS
from headrace.protocol.errors import ConfigError


class BrokerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[broker]`: where the broker is, or several.

    Attributes:
        address: of the broker; with `count`, of the first.
        http: host:port of its status; with `count`, of the first.
        addresses: of several brokers, each with actors of its own, that the learner connects to.
        count: how many brokers `headrace up` starts, each ten ports above the one before.
    """

    address: str = DEFAULT_ADDRESS
    http: str = "127.0.0.1:5560"
    addresses: tuple[str, ...] = ()
    count: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1


class ActorsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[actors]`: what `headrace up` starts.

    Attributes:
        count: number of processes.
        environments: number of environments that each process steps together.
    """

    count: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 1
    environments: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1


class RunFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run."""

    run: RunSection
    environment: EnvironmentSection
    learner: LearnerSection = LearnerSection()
    broker: BrokerSection = BrokerSection()
    actors: ActorsSection = ActorsSection()


def read_run_file(path: Path) -> RunFile:
    """Returns the run that a TOML file describes.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong; names the nearest known key.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    _check_keys(tree, RunFile, str(path))
    try:
        return msgspec.convert(tree, RunFile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(str(error), tree)}") from error


def _check_keys(tree: dict[str, Any], kind: type[msgspec.Struct], where: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}; {hint_for_key(key, fields)}")
        if isinstance(value, dict) and _is_struct(fields[key]):
            _check_keys(value, fields[key], f"{where} [{key}]")


def _sentence(error: str, tree: dict[str, Any]) -> str:
    """Returns msgspec's message with a path as run files have it."""
    missing = re.fullmatch(r"Object missing required field `(\w+)`", error)
    if missing is not None and missing[1] not in tree:
        return f"the section [{missing[1]}] is missing"
    what, at, path = error.partition(" - at `$.")
    if not at:
        return error
    path = path.rstrip("`")
    section, _, key = path.partition(".")
    return f"[{section}] {key}: {what}{hint_for_value(what, path, tree, RunFile)}"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
