"""`python -m chaos [--short] [--seed N] [SCENARIO…]`."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from chaos.hosts import are_available

SCENARIOS = (
    "broker_kills",
    "journal_kills",
    "learner_kills",
    "mixed_kills",
    "freezes",
    "bad_network",
    "partitions",
    "runner_kills",
    "runner_freezes",
    "driver_kills",
    "hostile_bytes",
    "memory_attack",
    "strangers",
    "insiders",
    "crowds",
    "idle_connections",
    "side_broker_kills",
    "side_driver_kills",
    "side_partitions",
)
NEEDS_HOSTS = ("partitions", "side_partitions")


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Choice(SCENARIOS))
@click.option("--short", "is_short", is_flag=True, help="A few minutes in all, as in CI.")
@click.option("--seed", default=1, show_default=True, help="Seed of the fault schedule.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep diaries and logs here.")
def main(scenarios: tuple[str, ...], is_short: bool, seed: int, keep: Path | None) -> None:
    """Injects faults into headrace, and reports their effects."""
    root = keep or Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
    failed: list[str] = []
    for name in scenarios or SCENARIOS:
        module = importlib.import_module(f"chaos.scenarios.{name}")
        if name in NEEDS_HOSTS and not are_available() and not os.environ.get("CI"):
            click.echo(f"{name}: skipped, since it needs root and iproute2")
            continue
        report = module.run(module.SHORT if is_short else module.LONG, root / name, seed)
        click.echo(str(report))
        if report.violations:
            failed.append(name)
    if failed:
        click.echo(f"failed: {', '.join(failed)}; diaries and logs are in {root}")
        sys.exit(1)
    if keep is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
