"""Waiting times of fixed plans and of the trained policy, on the same seeds.

python -m examples.sumo.compare runs/sumo-crossing
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule

from examples.sumo.simulation import DECISION_S, YELLOW_S, Crossing

SEEDS = range(10)
_FIXED_GREEN_S = (7, 12, 17, 27, 42)
_MODULE = Path("learner_group/learner/rl_module/default_policy")

Controller = Callable[[Crossing], bool]
"""Returns whether to switch."""


def main() -> None:
    """Prints a line per controller."""
    controllers: dict[str, Controller] = {
        f"fixed plan, {green_s} s green": fixed_plan(green_s) for green_s in _FIXED_GREEN_S
    }
    controllers["policy"] = trained_policy(newest_checkpoint(Path(sys.argv[1])))
    with Crossing() as crossing:
        for name, controller in controllers.items():
            waited_s = [mean_waiting_s(crossing, controller, seed) for seed in SEEDS]
            print(
                f"{name:24} mean {statistics.mean(waited_s):5.1f} s  "
                f"least {min(waited_s):5.1f} s  most {max(waited_s):5.1f} s"
            )


def mean_waiting_s(crossing: Crossing, controller: Controller, seed: int) -> float:
    """Returns the mean time that a vehicle stood in one episode."""
    crossing.begin(seed)
    while not crossing.is_over:
        crossing.run(switch=controller(crossing))
    return crossing.mean_waiting_s


def fixed_plan(green_s: int) -> Controller:
    """Returns a controller that gives each axis green for the same time."""
    if (green_s + YELLOW_S) % DECISION_S:
        raise ValueError(f"a green of {green_s} s does not end at a decision")
    return lambda crossing: crossing.green_s >= green_s


def trained_policy(checkpoint: Path) -> Controller:
    """Returns a controller that takes the policy's most likely action."""
    module = cast("Any", RLModule.from_checkpoint(checkpoint.absolute() / _MODULE))

    def decide(crossing: Crossing) -> bool:
        observations = torch.from_numpy(crossing.observe()[None])
        with torch.no_grad():
            outputs = module.forward_inference({Columns.OBS: observations})
        return bool(outputs[Columns.ACTION_DIST_INPUTS].argmax() == 1)

    return decide


def newest_checkpoint(run: Path) -> Path:
    """Returns the newest checkpoint in a run's folder."""
    return sorted((run / "checkpoints").glob("[0-9]*"))[-1]


if __name__ == "__main__":
    main()
