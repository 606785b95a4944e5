"""Files that the documentation names, or links to, exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.documents import ROOT, documented_pages

_NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
_LINKED = re.compile(r"\]\(((?!https?:|#)[^)#\s]+)")
_FOLDERS = (
    "actors",
    "benchmarks",
    "broker",
    "deploy",
    "docs",
    "examples",
    "learner",
    "protocol",
    "tests",
)


def _pages() -> list[Path]:
    readmes = [page for folder in _FOLDERS for page in (ROOT / folder).rglob("README.md")]
    return sorted(
        page
        for page in {*documented_pages(), *readmes}
        if "node_modules" not in page.parts and page.name != "CHANGELOG.md"
    )


def _paths_in(page: Path) -> Iterator[str]:
    text = page.read_text()
    yield from (path for path in _NAMED.findall(text) if path.split("/")[0] in _FOLDERS)
    yield from _LINKED.findall(text)


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    missing = [
        path
        for path in _paths_in(page)
        if not (ROOT / path).exists() and not (page.parent / path).exists()
    ]
    assert not missing
