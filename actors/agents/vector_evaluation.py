"""An evaluation episode in one of several environments that step together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headrace.actors.policy.onnx_policy import Acted
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.protocol.arrays import Array

Clock = Callable[[], float]


class VectorEvaluation:
    """Records one whole episode of environment `index`; the others continue training."""

    def __init__(self, index: int, evaluation: Evaluation, clock: Clock, lookback: int) -> None:
        self.index = index
        self._rows = slice(index, index + 1)
        self._evaluation = evaluation
        self._recorder = VectorRecorder(1, clock, lookback)

    def merge(self, all_acted: Acted, acted: Acted) -> Acted:
        """Returns the actions of all environments, with this one's replaced."""
        return Acted(
            _with_row(all_acted.env_actions, self.index, acted.env_actions),
            all_acted.recorded,
            all_acted.observations,
            {
                name: _with_row(values, self.index, acted.state[name])
                for name, values in all_acted.state.items()
            },
        )

    def record(self, acted: Acted, infos: Columns, step: StepResult) -> bool:
        """Records a step; returns whether the episode has ended: then `deliver` it.

        Args:
            acted: this environment's, one row.
            infos: columns of all environments.
        """
        own = self._own(step)
        outputs = {**acted.recorded, **self._columns(infos)}
        self._recorder.record(acted.observations, outputs, own)
        return bool(own.terminated[0] or own.truncated[0])

    def deliver(self, last_observations: Columns) -> None:
        """Pushes the episode.

        Args:
            last_observations: those of all environments, in recorded form.
        """
        self._evaluation.deliver(self._recorder.ending_with(self._columns(last_observations)))

    def give_back(self) -> None:
        """Reports that the episode was not finished."""
        self._evaluation.give_back()

    def without(self, step: StepResult) -> Array:
        """Returns which environments' rows of a step are not for training, including this one's."""
        count = len(step.terminated)
        skipped = np.zeros(count, bool) if step.is_reset_step is None else step.is_reset_step.copy()
        skipped[self.index] = True
        return skipped

    def _own(self, step: StepResult) -> StepResult:
        finals = step.final_observations
        return StepResult(
            observations=self._columns(step.observations),
            rewards=step.rewards[self._rows],
            terminated=step.terminated[self._rows],
            truncated=step.truncated[self._rows],
            final_observations={0: finals[self.index]} if self.index in finals else {},
            is_reset_step=None if step.is_reset_step is None else step.is_reset_step[self._rows],
        )

    def _columns(self, columns: Columns) -> dict[str, Array]:
        return {name: values[self._rows] for name, values in columns.items()}


def _with_row(values: Array, index: int, row: Array) -> Array:
    merged = values.copy()
    merged[index : index + 1] = row
    return merged
