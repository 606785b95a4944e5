"""The page of tables in `docs/`, made from the stored results."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.pairs import Row
from benchmarks.report import RESULTS, Result, text_of

PAGE = Path(__file__).parents[1] / "docs" / "benchmark-results.md"
_HEAD = """# Benchmark results

Written by `make bench`; [benchmarks.md](benchmarks.md) describes the benchmarks. `ours / theirs` is
the median over the pairs of one run, followed by the smallest and the largest value.
"""


def write(names: tuple[str, ...]) -> None:
    """Writes the page, in the order of `names`; a benchmark without a result is left out."""
    parts = [_HEAD]
    for name in names:
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(_section(msgspec.json.decode(path.read_bytes(), type=Result)))
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _section(result: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    lines = [
        f"## {result.benchmark}",
        "",
        f"{versions}.",
        "",
        "| case | ours | theirs | unit | ours / theirs |",
        "|---|---:|---:|---|---:|",
        *(_line(row) for row in result.rows),
        "",
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    ratio = ""
    if row.ratio is not None:
        low, high = text_of(row.ratio_min), text_of(row.ratio_max)
        ratio = f"{text_of(row.ratio)} ({low} to {high})"
    return f"| {row.case} | {text_of(row.ours)} | {text_of(row.theirs)} | {row.unit} | {ratio} |"
