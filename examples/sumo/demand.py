"""Random traffic demand, reproducible from a seed and uneven between the axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ARMS = ("north", "east", "south", "west")
"""Clockwise; arms with even indices form one axis, the others the other."""

_INTERVAL_S = 600
_HEAVY_PER_HOUR, _LIGHT_PER_HOUR = (900.0, 1200.0), (150.0, 400.0)
_TURNS, _SHARES = (1, 2, 3), (0.1, 0.8, 0.1)
"""Offset to the destination arm, clockwise: to the left, straight on, to the right."""


def write_demand(path: Path, seed: int, until_s: int) -> int:
    """Writes SUMO's route file for one episode, and returns its number of vehicles.

    The busy axis is drawn at random for each ten minutes.
    """
    rng = np.random.default_rng(seed)
    trips: list[tuple[float, int, int]] = []
    for start_s in range(0, until_s, _INTERVAL_S):
        busy_axis = int(rng.integers(2))
        for arm in range(len(ARMS)):
            per_hour = rng.uniform(*(_HEAVY_PER_HOUR if arm % 2 == busy_axis else _LIGHT_PER_HOUR))
            count = int(rng.poisson(per_hour * _INTERVAL_S / 3600))
            departs_s = start_s + _INTERVAL_S * rng.random(count)
            turns = rng.choice(_TURNS, count, p=_SHARES)
            trips += [
                (depart_s, arm, (arm + turn) % len(ARMS))
                for depart_s, turn in zip(departs_s.tolist(), turns.tolist(), strict=True)
            ]
    vehicles = [_vehicle(number, *trip) for number, trip in enumerate(sorted(trips))]
    path.write_text("\n".join(["<routes>", *vehicles, "</routes>\n"]))
    return len(vehicles)


def _vehicle(number: int, depart_s: float, origin: int, destination: int) -> str:
    edges = f"{ARMS[origin]}_in {ARMS[destination]}_out"
    return (
        f'<vehicle id="{number}" depart="{depart_s:.2f}" departLane="best" departSpeed="max">'
        f'<route edges="{edges}"/></vehicle>'
    )
