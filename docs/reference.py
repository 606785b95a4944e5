"""Writes the reference pages of the command line and of run files from the code."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from headrace.deploy.cli import headrace
from headrace.deploy.run_file import RunFile
from headrace.learner.config import RunnerConfig
from headrace.learner.training.run_sections import (
    LearnerSection,
    SpaceSection,
    StopSection,
)

FOLDER = Path(__file__).parent / "reference"
_WIDTH = 80
_GENERATED = "<!-- Written by `make docs` from the code; edit the docstrings there. -->\n"
_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.*)$")


def write_references() -> None:
    """Writes `docs/reference`."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in references().items():
        (FOLDER / name).write_text(text)


def references() -> dict[str, str]:
    """Returns the pages by file name."""
    return {"commands.md": _commands(), "run-file.md": _run_file()}


# ---------------------------------------------------------------- commands


def _commands() -> str:
    parts = [_GENERATED, "# Commands\n"]
    for path, command in _walk("headrace", headrace):
        context = click.Context(command, info_name=path, max_content_width=_WIDTH)
        context.terminal_width = _WIDTH
        help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _walk(f"{path} {name}", found)


# ---------------------------------------------------------------- run files


def _run_file() -> str:
    parts = [
        _GENERATED,
        "# The run file\n",
        "One TOML file describes a run; `headrace learner` and `headrace up` read it. "
        "An unknown key is an error that names the nearest known one.\n",
    ]
    for field in msgspec.structs.fields(RunFile):
        parts.append(_section(f"[{field.name}]", field.type))
    parts.append(_section("stop, in [run]", StopSection))
    for kind in typing.get_args(SpaceSection):
        tag = kind.__struct_config__.tag
        parts.append(_section(f'A space of type "{tag}"', kind))
    parts.append(_section('env_config["headrace"], in an RLlib script', RunnerConfig))
    return "\n".join(parts)


def _section(title: str, kind: Any) -> str:
    summary, meanings = _described(kind)
    if kind is LearnerSection:
        meanings = _described(RunnerConfig)[1] | meanings
    rows = [
        f"| `{field.name}` | {_type(field.type)} | {_default(field)} "
        f"| {meanings.get(field.name, '')} |"
        for field in msgspec.structs.fields(kind)
    ]
    table = "\n".join(("| key | type | default | |", "|---|---|---|---|", *rows))
    return f"## {title}\n\n{summary}\n\n{table}\n"


def _described(kind: Any) -> tuple[str, dict[str, str]]:
    """Returns a struct's summary, and what its docstring says of each attribute."""
    text = inspect.getdoc(kind) or ""
    summary, _, attributes = text.partition("\n\nAttributes:\n")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in attributes.splitlines():
        found = _ATTRIBUTE.match(line)
        if found:
            names = found[1].split(", ")
            meanings |= dict.fromkeys(names, found[2])
        else:
            for name in names:
                meanings[name] += f" {line.strip()}"
    return " ".join(summary.split()), {name: _cell(text) for name, text in meanings.items()}


def _type(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _type(typing.get_args(kind)[0])
    if origin is typing.Literal:
        return " or ".join(f'`"{value}"`' for value in typing.get_args(kind))
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(kind) if member is not types.NoneType]
        return " or ".join(dict.fromkeys(map(_type, members)))
    if origin in (dict, list, tuple):
        return {dict: "table", list: "array", tuple: "array"}[origin]
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return names.get(kind, "table" if inspect.isclass(kind) else str(kind))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None or isinstance(value, msgspec.Struct):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value!r}`".replace("'", '"')


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
