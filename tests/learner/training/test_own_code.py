"""The code of a run that is sent to the other hosts of a Ray cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from headrace.learner.training.own_code import own_code


def module(path: Path | str | None) -> ModuleType:
    made = ModuleType("made")
    made.__file__ = None if path is None else str(path)
    return made


def test_modules_and_packages_of_the_folder_are_sent_by_their_tops(tmp_path: Path) -> None:
    modules = {
        "rewards": module(tmp_path / "rewards.py"),
        "robots.arm": module(tmp_path / "robots" / "arm.py"),
        "robots": module(tmp_path / "robots" / "__init__.py"),
    }
    assert own_code(tmp_path, modules) == [tmp_path / "rewards.py", tmp_path / "robots"]


def test_what_is_installed_or_elsewhere_or_has_no_file_is_not_sent(tmp_path: Path) -> None:
    modules = {
        "installed": module(Path(sys.prefix) / "lib" / "installed.py"),
        "elsewhere": module(tmp_path.parent / "elsewhere.py"),
        "torch.ops": module("_ops.py"),
        "built_in": module(None),
        "headrace.learner": module(tmp_path / "learner" / "__init__.py"),
        "__main__": module(tmp_path / "main.py"),
    }
    assert own_code(tmp_path, modules) == []
