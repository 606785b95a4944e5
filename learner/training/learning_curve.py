"""Draws the learning curve."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headrace.learner.training.run_folder import IterationMetrics

_RETURN, _EVALUATION, _LAG = "tab:blue", "tab:green", "0.8"
_TEXT_OF_LAG = "0.5"


def draw_curve(name: str, metrics: Sequence[IterationMetrics], path: Path) -> None:
    """Writes the returns against env steps as a PNG, with the policy lag in the background."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    returns = figure.subplots()
    lags = returns.twinx()
    returns.set_zorder(lags.get_zorder() + 1)
    returns.patch.set_visible(False)
    steps = [point.env_steps for point in metrics]
    lagged = _or_nan([point.policy_lag_mean for point in metrics])
    lags.fill_between(steps, lagged, color=_LAG, alpha=0.5, lw=0)
    returned = _or_nan([point.episode_return_mean for point in metrics])
    returns.plot(steps, returned, color=_RETURN, lw=2, label="training")
    evaluated = [point for point in metrics if point.evaluation_return_mean is not None]
    if evaluated:
        returns.plot(
            [point.env_steps for point in evaluated],
            _or_nan([point.evaluation_return_mean for point in evaluated]),
            color=_EVALUATION,
            marker="o",
            ms=4,
            label="evaluation",
        )
        returns.legend(loc="lower right")
    returns.set_title(name)
    returns.set_xlabel("env steps")
    returns.set_ylabel("mean episode return")
    lags.set_ylabel("mean policy lag (versions)", color=_TEXT_OF_LAG)
    lags.tick_params(colors=_TEXT_OF_LAG)
    # At most a third of the height, so that the returns stand out.
    lags.set_ylim(0, 3 * max([1.0, *(lag for lag in lagged if lag == lag)]))
    returns.grid(alpha=0.3)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=120, format="png")
    os.replace(temporary, path)
    del figure, returns, lags
    gc.collect()  # figures are cycles of some MiB, which would wait for a full collection


def _or_nan(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
