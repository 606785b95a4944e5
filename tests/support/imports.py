"""The import graph of the packages, read from the source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("protocol", "broker", "actors", "learner", "deploy")
FACE = "(face)"
"""The room of a package's own `__init__.py`."""

Graph = Mapping[str, set[str]]


def sources(*folders: str) -> list[Path]:
    """Returns the Python files in folders, given relative to the root."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    )


def module_of(path: Path) -> str:
    """Returns a file's module; an `__init__.py` is its folder's."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("headrace", *(parts[:-1] if parts[-1] == "__init__" else parts)))


_MODULES = {module_of(path) for path in sources(*PACKAGES)}


def imported_modules(path: Path) -> set[str]:
    """Returns the modules that a file imports names from.

    `from headrace.a import b` counts as the module `headrace.a.b` if there is one, else as the
    package `headrace.a`.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in _MODULES else node.module for name in names}
    return found


def module_graph(*folders: str) -> dict[str, set[str]]:
    """Returns which of the modules in folders imports which."""
    graph = {module_of(path): imported_modules(path) for path in sources(*folders)}
    return {module: imported & graph.keys() - {module} for module, imported in graph.items()}


def room_graph(package: str) -> dict[str, set[str]]:
    """Returns which room of a package imports which: its folders, and the files beside them."""
    graph: dict[str, set[str]] = {}
    for module, imported in module_graph(package).items():
        room = _room_of(module)
        graph.setdefault(room, set()).update({_room_of(name) for name in imported} - {room})
    return graph


def layers(graph: Graph) -> list[list[str]]:
    """Returns the nodes of a graph in layers, those without imports first.

    Raises:
        ValueError: there is an import cycle.
    """
    left = dict(graph)
    found: list[list[str]] = []
    while left:
        layer = sorted(node for node, imported in left.items() if not imported & left.keys())
        if not layer:
            raise ValueError(f"imports in a circle: {', '.join(sorted(left))}")
        found.append(layer)
        for node in layer:
            del left[node]
    return found


def drawn(package: str) -> Iterator[str]:
    """Yields a diagram of a package's rooms, one line each, the highest layer first."""
    graph = room_graph(package)
    for number, layer in reversed(list(enumerate(layers(graph), start=1))):
        for room in layer:
            yield f"{package} {number}  {room:<14} -> {', '.join(sorted(graph[room])) or '-'}"


def _room_of(module: str) -> str:
    parts = module.split(".")
    return parts[2] if len(parts) > 2 else FACE
