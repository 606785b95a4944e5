"""The fenced blocks of the documentation."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "toml", "sh")
_BLOCK = re.compile(r"(?:<!-- not run: ([^>]+) -->\n)?^```(\w+)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Snippet:
    """A block of Python, TOML or shell.

    Attributes:
        page: the file, from the root of the repository.
        number: counts the page's blocks of this language, from 1.
        not_run: the reason in the comment above it, `<!-- not run: … -->`; None without one.
    """

    page: str
    language: str
    number: int
    code: str
    not_run: str | None

    @property
    def key(self) -> tuple[str, str, int]:
        """Identifies the block as the page, its language and its number."""
        return self.page, self.language, self.number


def documented_pages() -> list[Path]:
    """Returns README and its companions, the pages of docs/, and the specification."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "protocol" / "SPEC.md",
    ]


def snippets() -> list[Snippet]:
    """Returns all blocks, page by page."""
    return [snippet for page in documented_pages() for snippet in snippets_of(page)]


def snippets_of(page: Path) -> list[Snippet]:
    """Returns the blocks of one page that are Python, TOML or shell."""
    found: list[Snippet] = []
    seen: Counter[str] = Counter()
    name = str(page.relative_to(ROOT))
    for reason, language, code in _BLOCK.findall(page.read_text()):
        if language in LANGUAGES:
            seen[language] += 1
            found.append(Snippet(name, language, seen[language], code, reason or None))
    return found
