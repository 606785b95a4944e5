"""What is in the tree is in the package."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("protocol", "broker", "actors", "learner", "deploy")


def test_every_folder_with_modules_is_a_package_of_the_wheel() -> None:
    folders = {path.parent for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    found = {"headrace." + ".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_only_the_five_roots_say_where_they_are() -> None:
    roots = {f"headrace.{name}": name for name in PACKAGES}
    assert PYPROJECT["tool"]["setuptools"]["package-dir"] == roots


def test_every_package_is_marked_as_typed() -> None:
    assert all((ROOT / name / "py.typed").exists() for name in PACKAGES)


def test_type_checkers_see_every_package() -> None:
    links = {path.name: path.resolve() for path in (ROOT / "typings" / "headrace").iterdir()}
    assert links == {name: ROOT / name for name in PACKAGES}


def test_the_command_is_installed() -> None:
    [command] = [
        entry for entry in entry_points(group="console_scripts") if entry.name == "headrace"
    ]
    assert command.value == "headrace.deploy.cli:main"


def test_the_changelog_knows_the_version() -> None:
    assert f"## {version('headrace')}" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_pin_what_is_required_directly() -> None:
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    project = PYPROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        if requirement.name == project["name"]:
            continue  # an extra within another one
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
