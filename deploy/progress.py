"""The learner's progress, on a terminal or in the log."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:  # at run time the module imports matplotlib and Ray
    from headrace.learner.training.run_folder import IterationMetrics


def describe(metrics: IterationMetrics) -> str:
    """Returns a one-line summary of an iteration."""
    returned, lag = metrics.episode_return_mean, metrics.policy_lag_mean
    return (
        f"iteration {metrics.iteration}  {metrics.env_steps:,} env steps  {metrics.wall_s:.0f} s  "
        f"return {'-' if returned is None else f'{returned:.1f}'}  "
        f"lag {'-' if lag is None else f'{lag:.2f}'}"
    )


class LiveProgress:
    """A line at the bottom of a terminal, redrawn in place."""

    def __init__(self) -> None:
        self._live = Live(
            Text("starting"), console=Console(stderr=True), refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, metrics: IterationMetrics) -> None:
        """Shows the newest iteration."""
        self._live.update(Text(describe(metrics)))


class LoggedProgress:
    """One log line per iteration, for output that is not a terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to restore."""

    def show(self, metrics: IterationMetrics) -> None:
        """Logs the newest iteration."""
        logging.getLogger("headrace.learner").info("%s", describe(metrics))


def make_progress_view() -> LiveProgress | LoggedProgress:
    """Returns the view that suits standard error."""
    return LiveProgress() if sys.stderr.isatty() else LoggedProgress()
