"""The folders are the architecture: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocol", "broker", "actors", "learner", "deploy")
ALLOWED = {
    "protocol": {"protocol"},
    "broker": {"broker", "protocol"},
    "actors": {"actors", "protocol"},
    "learner": {"learner", "protocol"},
    "deploy": set(PACKAGES),
}
IMPURE = {"asyncio", "logging", "socket", "threading", "time", "zmq", "os", "subprocess"}
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_what_is_below_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[1] for name in imported_modules(path) if name.startswith("headrace.")}
    assert ours <= ALLOWED[package]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "protocol").glob("*.py")), ids=lambda path: str(path.name)
)
def test_the_protocol_touches_nothing_outside(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported_modules(path)} & IMPURE


def test_there_is_no_import_cycle() -> None:
    graph = {
        "headrace." + ".".join(path.relative_to(ROOT).with_suffix("").parts): imported_modules(path)
        for path in SOURCES
    }
    finished: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"import cycle: {' -> '.join((*above, module))}"
        if module in finished:
            return
        for name in graph.get(module, ()):
            if name in graph:
                visit(name, (*above, module))
        finished.add(module)

    for module in graph:
        visit(module, ())


LIGHT = ("torch", "ray", "gymnasium", "onnxruntime", "matplotlib")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("headrace.deploy.commands.broker", LIGHT),
        ("headrace.deploy.commands.status", LIGHT),
        ("headrace.deploy.commands.up", LIGHT),
        ("headrace.actors.client", LIGHT),
        ("headrace.deploy.commands.actor", ("torch", "ray", "matplotlib")),
        ("headrace.deploy.commands.learner", ("torch", "ray", "gymnasium")),
    ],
)
def test_a_command_loads_only_what_it_needs(module: str, heavy: tuple[str, ...]) -> None:
    check = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", loaded.stderr
