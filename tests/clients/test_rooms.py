"""The rooms of the C++ and the JavaScript client, and which of them each may include."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ACTORS = Path(__file__).parents[2] / "actors"
CPP = ACTORS / "cpp" / "include" / "headrace"
JS = ACTORS / "js" / "src"

CPP_ROOMS: dict[str, set[str]] = {
    "wire": set(),
    "connection": {"wire"},
    "recording": {"connection", "wire"},
    "inference": {"recording", "connection", "wire"},
}
JS_ROOMS: dict[str, set[str]] = {
    "wire": set(),
    "connection": {"wire"},
    "recording": {"connection", "wire"},
    "policy": {"wire"},
    "agents": {"recording", "policy", "connection", "wire"},
    "inference": {"recording", "connection", "wire"},
}
IMPURE = {"zmq.h", "thread", "fstream", "sys/stat.h", "zeromq", "node:fs", "node:timers"}


def includes(path: Path) -> Iterator[str]:
    """The headers that a header includes; those of the client are relative to its folder."""
    for name in re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE):
        yield name.removeprefix("headrace/")


def imports(path: Path) -> Iterator[str]:
    """The modules that a module imports, also for types; those of the client as paths in it."""
    for name in re.findall(r'(?:from |import\(|import )"([^"]+)"', path.read_text()):
        yield str((path.parent / name).resolve().relative_to(JS)) if name[0] == "." else name


def rooms_of(names: Iterator[str], rooms: dict[str, set[str]]) -> set[str]:
    return {room for name in names if (room := name.split("/")[0]) in rooms}


def test_the_table_names_every_room() -> None:
    for client, rooms in ((CPP, CPP_ROOMS), (JS, JS_ROOMS)):
        assert {path.name for path in client.iterdir() if path.is_dir()} == rooms.keys()
        assert all((client / room / "README.md").is_file() for room in rooms)
    assert [path.name for path in CPP.glob("*.hpp")] == ["headrace.hpp"]
    assert [path.name for path in JS.glob("*.js")] == ["index.js"]


def test_a_header_includes_only_rooms_that_its_room_may_include() -> None:
    for room, allowed in CPP_ROOMS.items():
        for path in (CPP / room).rglob("*.hpp"):
            assert rooms_of(includes(path), CPP_ROOMS) <= {room, *allowed}, path


def test_a_module_imports_only_rooms_that_its_room_may_import() -> None:
    for room, allowed in JS_ROOMS.items():
        for path in (JS / room).rglob("*.js"):
            assert rooms_of(imports(path), JS_ROOMS) <= {room, *allowed}, path


def test_the_wire_has_no_sockets_threads_or_files() -> None:
    for path in (CPP / "wire").rglob("*.hpp"):
        assert IMPURE.isdisjoint(includes(path)), path
    for path in (JS / "wire").rglob("*.js"):
        assert IMPURE.isdisjoint(imports(path)), path


def test_the_umbrella_header_includes_every_room() -> None:
    assert rooms_of(includes(CPP / "headrace.hpp"), CPP_ROOMS) == CPP_ROOMS.keys()
