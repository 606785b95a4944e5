"""Trains HalfCheetah with headrace and with RLlib's own EnvRunners, in turn, and draws the curves.

python -m examples.half_cheetah.compare --seeds 1 2 --picture docs/half_cheetah.png
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from examples.half_cheetah.fleet import fleet

HEADRACE, NATIVE = "headrace, 2 actors", "RLlib, 2 EnvRunners"
_COLORS = {HEADRACE: "tab:blue", NATIVE: "tab:orange"}


class Point(NamedTuple):
    """One iteration; the return is a mean over the newest episodes."""

    env_steps: int
    wall_s: float
    episode_return: float


Curves = dict[str, list[list[Point]]]
"""For each side, a curve per seed."""


def main() -> None:
    """Runs the trainings that have no metrics yet, draws and prints all."""
    parser = argparse.ArgumentParser(description="headrace against RLlib's own EnvRunners.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/half-cheetah"))
    parser.add_argument("--picture", type=Path, default=Path("half_cheetah.png"))
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    curves: Curves = {HEADRACE: [], NATIVE: []}
    for seed in arguments.seeds:
        curves[HEADRACE].append(read_curve(train_with_headrace(seed, arguments.runs)))
        curves[NATIVE].append(read_curve(train_natively(seed, arguments.runs)))
    draw(curves, arguments.picture)
    for name, own in curves.items():
        for seed, curve in zip(arguments.seeds, own, strict=True):
            env_steps, wall_s, returned = curve[-1]
            print(
                f"{name}, seed {seed}: return {returned:.0f}, {env_steps} env steps, {wall_s:.0f} s"
            )


def train_with_headrace(seed: int, runs: Path) -> Path:
    """Returns the metrics file of a training on a fleet; trains if there is none."""
    metrics = runs / f"headrace-{seed}.jsonl"
    if not metrics.exists():
        with fleet(runs, seed) as broker:
            _train(metrics, "--seed", str(seed), "--broker", broker)
    return metrics


def train_natively(seed: int, runs: Path) -> Path:
    """Returns the metrics file of RLlib alone; trains if there is none."""
    metrics = runs / f"native-{seed}.jsonl"
    if not metrics.exists():
        _train(metrics, "--seed", str(seed))
    return metrics


def _train(metrics: Path, *options: str) -> None:
    """Trains in a process of its own; the file gets its name when it is complete."""
    unfinished = metrics.with_suffix(".part")
    command = [sys.executable, "-m", "examples.half_cheetah.train", str(unfinished), *options]
    subprocess.run(command, check=True)  # noqa: S603 - our own command
    unfinished.rename(metrics)


def read_curve(metrics: Path) -> list[Point]:
    """Returns the iterations that have a return."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [
        Point(line["env_steps"], line["wall_s"], line["episode_return_mean"])
        for line in lines
        if line["episode_return_mean"] is not None
    ]


def draw(curves: Curves, path: Path) -> None:
    """Writes a PNG: return against env steps, a line per seed."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, own in curves.items():
        for number, curve in enumerate(own):
            axes.plot(
                [point.env_steps / 1000 for point in curve],
                [point.episode_return for point in curve],
                color=_COLORS[name],
                label=name if number == 0 else None,
            )
    axes.set_title("HalfCheetah-v5, PPO with the same settings; one line per seed")
    axes.set_xlabel("env steps (thousands)")
    axes.set_ylabel("mean return of the newest episodes")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
