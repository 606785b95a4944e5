"""Finds the code of a run that other hosts of a Ray cluster lack."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType


def own_code(folder: Path, modules: Mapping[str, ModuleType]) -> list[Path]:
    """Returns what modules were imported from a folder: files and packages at its top, by name.

    Installed packages are left out, since each host has its own.

    Args:
        folder: where the command was started, such as a checkout with a module of the run.
        modules: `sys.modules`.
    """
    folder = folder.resolve()
    files = [path for name, module in modules.items() for path in _own_files(name, module)]
    inside = [path.resolve() for path in files if path.resolve().is_relative_to(folder)]
    installed = Path(sys.prefix).resolve()
    tops = {
        folder / path.relative_to(folder).parts[0]
        for path in inside
        if not path.is_relative_to(installed)
    }
    return sorted(tops)


def _own_files(name: str, module: ModuleType) -> list[Path]:
    """Returns a module's file, if it has one; torch gives some of its modules relative ones."""
    file: str | None = getattr(module, "__file__", None)
    is_ours = name.partition(".")[0] in ("headrace", "__main__")
    return [] if is_ours or not file or not Path(file).is_absolute() else [Path(file)]
