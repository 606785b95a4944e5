"""An evaluation episode in one of several environments that step together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from headrace.actors.policy.onnx_policy import Acted
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.protocol.arrays import Array
from headrace.protocol.nested_actions import map_actions

Clock = Callable[[], float]


class VectorEvaluation:
    """Records one whole episode of environment `index`; the others continue training."""

    def __init__(self, index: int, evaluation: Evaluation, clock: Clock, lookback: int) -> None:
        self.index = index
        self._rows = slice(index, index + 1)
        self._evaluation = evaluation
        self._recorder = VectorRecorder(1, clock, lookback)

    @property
    def steps(self) -> int:
        """Steps of the episode so far."""
        return self._recorder.steps_of(0)

    def merge(self, all_acted: Acted, acted: Acted) -> Acted:
        """Returns the actions of all environments, with this one's replaced."""
        return Acted(
            map_actions(
                lambda all_rows, own: _with_row(all_rows, self.index, own),
                all_acted.env_actions,
                acted.env_actions,
            ),
            all_acted.recorded,
            all_acted.observations,
            {
                name: _with_row(values, self.index, acted.state[name])
                for name, values in all_acted.state.items()
            },
        )

    @property
    def is_last_step(self) -> bool:
        """Whether the episode is truncated after its next step."""
        return self._evaluation.is_complete(self.steps + 1)

    def record(
        self, acted: Acted, infos: Columns, step: StepResult, cut: Columns | None = None
    ) -> bool:
        """Records a step; returns whether the episode has ended: then `deliver` it.

        Args:
            acted: this environment's, one row.
            infos: columns of all environments.
            cut: the last observation, in recorded form and without the leading n, if the episode is
                truncated although the simulator's continues.
        """
        own = self._own(step)
        if cut is not None:
            own = dataclasses.replace(own, truncated=~own.terminated, final_observations={0: cut})
        outputs = {**acted.recorded, **self._columns(infos)}
        self._recorder.record(acted.observations, outputs, own)
        return bool(own.terminated[0] or own.truncated[0])

    @property
    def is_part_full(self) -> bool:
        """Whether to deliver a part of the episode now."""
        return self._evaluation.is_part_full(self._recorder.env_steps)

    def deliver(self, last_observations: Columns, *, more: bool) -> None:
        """Pushes the episode or, if more of it follows, a part of it.

        Args:
            last_observations: those of all environments, in recorded form.
        """
        recorded = self._recorder.ending_with(self._columns(last_observations))
        self._evaluation.deliver(recorded, more=more)

    def give_back(self) -> None:
        """Reports that the episode was not finished."""
        self._evaluation.give_back()

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
