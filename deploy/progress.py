"""How training stands, for the person who watches the learner."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:  # the module needs matplotlib's and Ray's company at run time
    from headrace.learner.training.run_folder import IterationMetrics


def describe(metrics: IterationMetrics) -> str:
    """Returns one line on an iteration."""
    returned, lag = metrics.episode_return_mean, metrics.policy_lag_mean
    return (
        f"iteration {metrics.iteration}  {metrics.env_steps:,} env steps  {metrics.wall_s:.0f} s  "
        f"return {'-' if returned is None else f'{returned:.1f}'}  "
        f"lag {'-' if lag is None else f'{lag:.2f}'}"
    )


class LiveProgress:
    """One line at the foot of a terminal that is drawn anew."""

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
        """Draws the newest iteration."""
        self._live.update(Text(describe(metrics)))


class LoggedProgress:
    """One log line per iteration, where there is no terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def show(self, metrics: IterationMetrics) -> None:
        """Logs the newest iteration."""
        logging.getLogger("headrace.learner").info("%s", describe(metrics))


def make_progress_view() -> LiveProgress | LoggedProgress:
    """Returns what suits standard error."""
    return LiveProgress() if sys.stderr.isatty() else LoggedProgress()
