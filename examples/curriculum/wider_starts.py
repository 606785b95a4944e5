"""A curriculum: CartPole's poles start further and further from upright.

The levels are `reset` options of Gymnasium's CartPole: the bounds of the initial state.
"""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback

from headrace.learner import assign

BOUNDS = (0.05, 0.1, 0.15, 0.2)
MASTERED = 150.0


class WiderStarts(RLlibCallback):  # type: ignore[misc] # RLlib's is not typed for mypy
    """Assigns the next level once the current one's mean return is high enough."""

    def __init__(self) -> None:
        super().__init__()
        self.level = 0

    def on_algorithm_init(self, *, algorithm: Algorithm, **_: Any) -> None:
        """Assigns the first level."""
        self._assign(algorithm)

    def on_train_result(self, *, algorithm: Algorithm, result: dict[str, Any], **_: Any) -> None:
        """Checks the returns of this level only: batches of another may still arrive."""
        tasks = result["env_runners"].get("headrace", {}).get("tasks", {})
        mean_return = tasks.get(self._task, {}).get("episode_return_mean", float("nan"))
        if mean_return > MASTERED and self.level + 1 < len(BOUNDS):
            self.level += 1
            self._assign(algorithm)

    @property
    def _task(self) -> str:
        return f"within-{BOUNDS[self.level]}"

    def _assign(self, algorithm: Algorithm) -> None:
        bound = BOUNDS[self.level]
        assign(algorithm, self._task, options={"low": -bound, "high": bound})
