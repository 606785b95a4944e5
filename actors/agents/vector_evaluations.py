"""The evaluation, if any, that one of several environments runs while the others train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headrace.actors.agents.vector_evaluation import VectorEvaluation
from headrace.actors.agents.vector_state import VectorState
from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.recording.step_result import Columns, StepResult

Clock = Callable[[], float]


class VectorEvaluations:
    """At most one evaluation at a time: `begin` it, `act` and `record`, and `deliver` it."""

    def __init__(self, environments: int, clock: Clock) -> None:
        self._environments = environments
        self._clock = clock
        self._open: VectorEvaluation | None = None
        self._acted: Acted | None = None

    @property
    def index(self) -> int | None:
        """The environment that runs the evaluation; None without one."""
        return self._open.index if self._open is not None else None

    @property
    def is_open(self) -> bool:
        """Whether there is an evaluation."""
        return self._open is not None

    @property
    def steps(self) -> int:
        """Steps of the evaluation's episode so far; 0 without one."""
        return self._open.steps if self._open is not None else 0

    def begin(self, index: int, evaluation: Evaluation, lookback: int) -> None:
        """Begins an evaluation with the next step of an environment."""
        self._open = VectorEvaluation(index, evaluation, self._clock, lookback)

    def act(self, state: VectorState, policy: OnnxPolicy, observations: Columns) -> Acted:
        """Returns the actions in all environments, greedy in the one that is evaluated."""
        if self._open is None:
            return state.act(policy, observations)
        if self._environments == 1:
            # Evaluations are greedy; otherwise exploring is left to the learner.
            self._acted = state.act(policy, observations, explore=False)
            return self._acted
        everywhere = state.act(policy, observations)
        self._acted = state.act_in(self._open.index, policy, observations, explore=False)
        return self._open.merge(everywhere, self._acted)

    def record(
        self, state: VectorState, policy: OnnxPolicy, infos: Columns, step: StepResult
    ) -> bool:
        """Records a step of the evaluation, if there is one; returns whether it has ended."""
        if self._open is None or self._acted is None:
            return False
        index, cut = self._open.index, None
        has_ended = step.terminated[index] or step.truncated[index]
        if self._open.is_last_step and not has_ended:
            row = {path: values[index] for path, values in step.observations.items()}
            cut = state.observe_in(index, policy, row)
        return self._open.record(self._acted, infos, step, cut)

    def left_out_of(self, step: StepResult) -> StepResult:
        """Returns a step in which the evaluated environment counts as being reset."""
        if self._open is None:
            return step
        return step.leaving_out(np.arange(self._environments) == self._open.index)

    @property
    def is_part_full(self) -> bool:
        """Whether to deliver a part of the evaluation now."""
        return self._open is not None and self._open.is_part_full

    def deliver(self, last_observations: Columns, *, has_ended: bool) -> None:
        """Pushes the evaluation or, if it has not ended, what was recorded of it.

        Args:
            last_observations: those of all environments, in recorded form.
        """
        if self._open is not None:
            self._open.deliver(last_observations, more=not has_ended)
        if has_ended:
            self._open = self._acted = None

    def give_back(self) -> None:
        """Reports that the evaluation, if there is one, was not finished."""
        if self._open is not None:
            self._open.give_back()
        self._open = self._acted = None
