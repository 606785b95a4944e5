"""Results as JSON files and as printed tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.pairs import Row

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("ray", "torch", "pyzmq", "msgpack", "msgpack-numpy", "numpy", "onnxruntime")


class Result(msgspec.Struct, frozen=True):
    """The rows of one benchmark, and the versions that they were measured with."""

    benchmark: str
    versions: dict[str, str]
    rows: list[Row]


def write(benchmark: str, rows: Iterable[Row]) -> Result:
    """Writes `results/<benchmark>.json`."""
    versions = {name: version(name) for name in _PACKAGES}
    versions |= {"python": platform.python_version(), "cpus": str(os.cpu_count())}
    result = Result(benchmark, versions, list(rows))
    encoded = msgspec.json.format(msgspec.json.encode(result), indent=2)
    (RESULTS / f"{benchmark}.json").write_bytes(encoded + b"\n")
    return result


def show(result: Result) -> None:
    """Prints a result as a table."""
    table = Table(title=result.benchmark)
    for column in ("case", "ours", "theirs", "unit", "ours / theirs", "least", "most"):
        table.add_column(column, justify="left" if column in ("case", "unit") else "right")
    for row in result.rows:
        numbers = (row.ratio, row.ratio_min, row.ratio_max)
        table.add_row(
            row.case, text_of(row.ours), text_of(row.theirs), row.unit, *map(text_of, numbers)
        )
    Console().print(table)


def text_of(value: float | None) -> str:
    """Returns a number with three significant digits, or all digits before the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
