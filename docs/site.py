"""Collects the pages of the documentation site into `build/pages`, as they lie in the repository.

`zensical build` makes the site of them. Pages are README, docs, the specification, and the READMEs
of clients and examples; their links to other files of the repository are kept by copying those too.
Generated pages (docs/reference) are written first.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from docs.reference import write_references

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
SOURCES = (
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs",
    "protocol/SPEC.md",
    "examples",
    "actors/cpp/README.md",
    "actors/js/README.md",
    "typings/README.md",
)
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def pages() -> list[Path]:
    """Returns the Markdown files of the site."""
    found: list[Path] = []
    for source in SOURCES:
        path = ROOT / source
        found += sorted(path.rglob("*.md")) if path.is_dir() else [path]
    return found


def links_of(page: Path) -> Iterator[str]:
    """Yields the relative targets that a page links to, without their anchors."""
    for target, _ in _LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def collect() -> None:
    """Copies pages and what they link to; README.md becomes index.md."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for page in pages():
        _copy_page(page)
        for target in links_of(page):
            linked = (page.parent / target).resolve()
            if linked.is_file() and linked.suffix != ".md":
                shutil.copyfile(linked, _copied(linked))
    (PAGES / "README.md").rename(PAGES / "index.md")


def _copy_page(page: Path) -> None:
    up = "../" * (len(page.relative_to(ROOT).parts) - 1)
    text = page.read_text().replace(f"]({up}README.md", f"]({up}index.md")
    _copied(page).write_text(text)


def _copied(path: Path) -> Path:
    copied = PAGES / path.relative_to(ROOT)
    copied.parent.mkdir(parents=True, exist_ok=True)
    return copied


if __name__ == "__main__":
    write_references()
    collect()
