"""Draws the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headrace.learner.training.run_folder import IterationMetrics

_RETURN, _LAG = "tab:blue", "tab:orange"


def draw_curve(name: str, metrics: Sequence[IterationMetrics], path: Path) -> None:
    """Writes return and policy lag against env steps as a PNG."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    returns = figure.subplots()
    lags = returns.twinx()
    steps = [point.env_steps for point in metrics]
    nan = float("nan")
    returned = [nan if m.episode_return_mean is None else m.episode_return_mean for m in metrics]
    lagged = [nan if m.policy_lag_mean is None else m.policy_lag_mean for m in metrics]
    returns.plot(steps, returned, color=_RETURN)
    lags.plot(steps, lagged, color=_LAG, lw=1)
    returns.set_title(name)
    returns.set_xlabel("env steps")
    returns.set_ylabel("mean episode return", color=_RETURN)
    lags.set_ylabel("mean policy lag (versions)", color=_LAG)
    lags.set_ylim(bottom=0)
    returns.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
