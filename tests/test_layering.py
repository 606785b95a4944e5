"""The folders are the architecture: who may import whom, and what is pure.

`pytest tests/test_layering.py -s` prints the rooms of each package, layer by layer.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support.imports import (
    FACE,
    PACKAGES,
    ROOT,
    drawn,
    imported_modules,
    layers,
    module_graph,
    room_graph,
    sources,
)

ALLOWED_PACKAGES = {
    "protocol": {"protocol"},
    "broker": {"broker", "protocol"},
    "actors": {"actors", "protocol"},
    "learner": {"learner", "protocol"},
    "deploy": set(PACKAGES),
}

ALLOWED_ROOMS = {
    "broker": {
        FACE: {"config", "service"},
        "service": {"access", "config", "effect_runner", "journal", "routing", "transport"},
        "effect_runner": {"journal", "routing", "transport"},
        "monitoring": {"routing"},
        "routing": {"access", "config", "credit", "state"},
        "config": {"access"},
        "journal": {"state"},
        "transport": {"access", "host"},
        "access": set(),
        "credit": set(),
        "host": set(),
        "state": set(),
    },
    "actors": {
        FACE: {"agents", "connection", "inference", "policy", "recording", "simulators"},
        "inference": {"agents", "connection", "recording"},
        "simulators": {"agents", "connection", "policy", "recording"},
        "agents": {"connection", "policy", "recording"},
        "rllib": {"connection", "recording", "simulators"},
        "policy": {"connection"},
        "recording": {"connection"},
        "connection": set(),
    },
    "learner": {
        FACE: {"config", "connection", "runner"},
        "training": {"config", "connection", "runner"},
        "runner": {"config", "connection", "episodes", "export"},
        "episodes": {"connection", "spaces"},
        "connection": {"config"},
        "export": {"spaces"},
        "config": set(),
        "spaces": set(),
        # Paths that checkpoints of 0.1.0 name.
        "env_runner": {"runner"},
        "module_mapping": {"training"},
        "preprocessing": {"training"},
    },
}
MAX_ROOMS, MAX_LAYERS = 12, 6

PURE = [
    *(path for path in sources("protocol") if "zeromq" not in path.parts),
    ROOT / "broker" / "config.py",
    *sources("broker/routing", "broker/state", "broker/credit"),
    ROOT / "broker" / "access" / "__init__.py",
    ROOT / "broker" / "access" / "permissions.py",
    ROOT / "broker" / "access" / "policing.py",
    ROOT / "actors" / "connection" / "config.py",
    ROOT / "actors" / "connection" / "endpoint_watch.py",
    ROOT / "actors" / "connection" / "presence_schedule.py",
    ROOT / "actors" / "connection" / "evaluation_tasks.py",
    ROOT / "actors" / "connection" / "newest_policy.py",
    ROOT / "actors" / "connection" / "session.py",
    *(
        ROOT / "learner" / "connection" / f"{name}.py"
        for name in (
            "broker_sessions",
            "demand",
            "evaluation_division",
            "known_broker",
            "lease_tracker",
            "leased_batches",
            "merged_reports",
            "session",
            "shared_evaluation",
            "shares",
            "weights_offer",
        )
    ),
    *sources("learner/episodes"),
    ROOT / "learner" / "spaces.py",
]
IMPURE_MODULES = {
    "asyncio", "logging", "multiprocessing", "os", "pathlib", "select", "shutil", "socket",
    "subprocess", "tempfile", "threading", "time", "zmq",
}  # fmt: skip
IMPURE_CALLS = {"input", "open", "print"}


def test_every_source_is_seen() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in sources(*PACKAGES)} == set(PACKAGES)
    assert len(PURE) > 50


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_what_is_below_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    imported = {name.split(".")[1] for name in imported_modules(path) if name[:9] == "headrace."}
    assert imported <= ALLOWED_PACKAGES[package]


@pytest.mark.parametrize("package", ALLOWED_ROOMS)
def test_a_room_imports_what_the_table_allows(package: str) -> None:
    print("\n" + "\n".join(drawn(package)))
    assert room_graph(package) == ALLOWED_ROOMS[package]


@pytest.mark.parametrize("package", ALLOWED_ROOMS)
def test_a_package_has_few_rooms_in_few_layers(package: str) -> None:
    graph = room_graph(package)
    assert len(graph) <= MAX_ROOMS
    assert len(layers(graph)) <= MAX_LAYERS


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert layers(module_graph(*PACKAGES))


def test_a_circle_is_found() -> None:
    with pytest.raises(ValueError, match="circle: a, b"):
        layers({"a": {"b"}, "b": {"a"}, "c": set()})


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in sources("broker", "actors", "learner", "protocol")}),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_room_says_what_lives_there_and_what_it_may_import(folder: Path) -> None:
    described = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert described
    if folder.parent != ROOT:
        assert "ay import" in described or folder.parent.name == "protocol"
        assert ("Pure." in described) == (set(folder.glob("*.py")) <= set(PURE))


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_pure_touches_nothing_outside(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not {name.split(".")[0] for name in imported_modules(path)} & IMPURE_MODULES
    assert (
        not {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        & IMPURE_CALLS
    )


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_pure_imports_only_what_is_pure(path: Path) -> None:
    for name in imported_modules(path):
        if not name.startswith("headrace."):
            continue
        file = ROOT.joinpath(*name.split(".")[1:])
        found = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        assert found in PURE


LIGHT = ("torch", "ray", "gymnasium", "onnxruntime", "matplotlib")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("headrace.deploy.commands.broker", LIGHT),
        ("headrace.deploy.commands.status", LIGHT),
        ("headrace.deploy.commands.up", LIGHT),
        ("headrace.actors.connection.client", LIGHT),
        ("headrace.deploy.commands.actor", ("torch", "ray", "gymnasium", "onnxruntime")),
        ("headrace.deploy.acting", ("torch", "ray", "matplotlib")),
        ("headrace.deploy.commands.learner", ("torch", "ray", "gymnasium")),
    ],
)
def test_a_command_loads_only_what_it_needs(module: str, heavy: tuple[str, ...]) -> None:
    check = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", loaded.stderr
