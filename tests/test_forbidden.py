"""What could run a peer's bytes is nowhere in the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for name in ("protocol", "broker", "actors", "learner", "deploy")
    for path in (ROOT / name).rglob("*.py")
)
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
NAMES = {"eval", "exec", "compile", "__import__"}
METHODS = {"recv_pyobj", "send_pyobj", "recv_serialized", "unsafe_load", "full_load"}


def forbidden_in(source: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [a.name for a in names if a.name.partition(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES:
                found.append(module)
            case ast.Call(func=ast.Name(id=name)) if name in NAMES:
                found.append(name)
            case ast.Attribute(attr=name) if name in METHODS:
                found.append(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="yaml"), attr="load")):
                found.append("yaml.load")
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load")):
                safe = any(
                    k.arg == "weights_only" and getattr(k.value, "value", None) is True
                    for k in node.keywords
                )
                found += [] if safe else ["torch.load"]
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                found.append("allow_pickle")
            case _:
                pass
    return found


WRITES_A_PICKLE = ROOT / "actors" / "rllib" / "rllink_config.py"
"""RLlink's reply to GET_CONFIG is one by definition."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_what_a_peer_sent(path: Path) -> None:
    assert forbidden_in(path.read_text()) == (["pickle"] if path == WRITES_A_PICKLE else [])


def test_the_module_that_writes_a_pickle_reads_none() -> None:
    tree = ast.parse(WRITES_A_PICKLE.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "pickle"
    }
    assert used == {"dumps"}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "eval('1')",
        "socket.recv_pyobj()",
        "yaml.load(text)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert forbidden_in(source)


def test_what_is_safe_is_not_found() -> None:
    assert forbidden_in("torch.load(file, weights_only=True); yaml.safe_load(text)") == []
