"""Keeps a run's folder up to date while it trains; a full disk does not end the training."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from headrace.learner.training.learning_curve import draw_curve
from headrace.learner.training.run_folder import (
    CheckpointState,
    IterationMetrics,
    RunFolder,
    Summary,
)
from headrace.protocol.errors import HeadraceError
from headrace.protocol.repeats import is_worth_a_line

_LOG = logging.getLogger("headrace.learner")
_REFRESH_S = 15.0

Clock = Callable[[], float]


class RunRecords:
    """Writes to an open folder; what cannot be written is logged, and tried again later."""

    def __init__(self, folder: RunFolder, name: str, clock: Clock) -> None:
        self._folder = folder
        self._name = name
        self._clock = clock
        self._refresh_due_s = float("-inf")
        self._failures = 0

    def add(
        self,
        metrics: IterationMetrics,
        numbers: Mapping[str, float],
        summarize: Callable[[], Summary],
    ) -> None:
        """Appends an iteration; now and then, writes curve and summary too.

        Args:
            numbers: RLlib's own result, by path.
        """
        with self._tolerating("metrics"):
            self._folder.add_metrics(metrics, numbers)
        if self._clock() >= self._refresh_due_s:
            self.refresh(summarize())
            self._refresh_due_s = self._clock() + _REFRESH_S

    def refresh(self, summary: Summary) -> None:
        """Writes summary and curve."""
        with self._tolerating("summary and curve"):
            self._folder.write_summary(summary)
            draw_curve(self._name, self._folder.read_metrics(), self._folder.path / "curve.png")

    def checkpoint(self, state: CheckpointState, save: Callable[[Path], object]) -> bool:
        """Writes a checkpoint; returns whether it was written.

        Args:
            save: writes RLlib's part to a folder.
        """
        with self._tolerating("checkpoint"):
            temporary, final = self._folder.new_checkpoint(state)
            save(temporary.absolute())
            self._folder.keep_checkpoint(temporary, final)
            _LOG.info("checkpoint %s", final)
            return True
        return False

    @contextlib.contextmanager
    def _tolerating(self, what: str) -> Generator[None]:
        try:
            yield
        except HeadraceError:
            raise
        except (OSError, RuntimeError) as error:  # torch raises RuntimeErrors for full disks
            self._failures += 1
            if is_worth_a_line(self._failures):
                _LOG.error(
                    "cannot write the %s of the run; training goes on without: %s", what, error
                )
