"""`python -m benchmarks [NAME …]`."""

from __future__ import annotations

import importlib
import sys

from benchmarks import page, report

BENCHMARKS = (
    "ingest",
    "broker",
    "secure",
    "journal",
    "roundtrip",
    "actor",
    "inference",
    "fleet",
    "brokers",
    "train",
    "weights",
    "pipes",
)
BY_NAME_ONLY = ("algorithms", "pong")


def main() -> None:
    """Runs the named benchmarks, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS + BY_NAME_ONLY]
    if unknown:
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        report.show(report.write(name, module.run()))
        page.write(BENCHMARKS + BY_NAME_ONLY)


if __name__ == "__main__":
    main()
