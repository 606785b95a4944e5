"""The policy's inputs besides observations: each environment's state and last reward."""

from __future__ import annotations

import dataclasses

import numpy as np

from headrace.actors.policy.onnx_policy import Acted, OnnxPolicy
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError


class VectorState:
    """States and last rewards of n environments; the state is empty for policies without one."""

    def __init__(self, environments: int) -> None:
        self._environments = environments
        self._state: dict[str, Array] = {}
        self._rewards = np.zeros(environments, np.float32)
        self._awaits_reset = np.zeros(environments, bool)

    def begin_all(self, policy: OnnxPolicy | None) -> None:
        """Begins an episode in each environment; without a policy, the first `act` does so."""
        self._rewards = np.zeros(self._environments, np.float32)
        self._awaits_reset[:] = False
        self._state = policy.initial_state(self._environments) if policy is not None else {}

    def act(
        self, policy: OnnxPolicy, observations: Columns, *, explore: bool | None = None
    ) -> Acted:
        """Returns the policy's actions in all environments; then call `advance`."""
        if not self._state:
            self._state = policy.initial_state(self._environments)
        return policy.act(observations, self._state, self._rewards, explore=explore)

    def act_in(
        self, index: int, policy: OnnxPolicy, observations: Columns, *, explore: bool | None
    ) -> Acted:
        """Returns the policy's action in one environment, as one row."""
        one = slice(index, index + 1)
        rows = {path: values[one] for path, values in observations.items()}
        return policy.act(rows, self._rows(one), self._rewards[one], explore=explore)

    def observe(self, policy: OnnxPolicy, observations: Columns) -> dict[str, Array]:
        """Returns the observations of all environments in recorded form."""
        return policy.observe(observations, self._state, self._rewards)

    def observe_finals(self, policy: OnnxPolicy, step: StepResult) -> StepResult:
        """Returns a step whose final observations are in recorded form."""
        if not step.final_observations:
            return step
        finals = {
            index: self.observe_in(index, policy, final)
            for index, final in step.final_observations.items()
        }
        return dataclasses.replace(step, final_observations=finals)

    def require_resets(self, step: StepResult) -> None:
        """Checks that the last observation of each episode that has ended is known.

        Raises:
            ConfigError: an episode ended without one in the last step, and this one does not reset
                its environment; or there is one of an episode that has not ended.
        """
        reset = step.is_reset_step
        waiting = self._awaits_reset if reset is None else self._awaits_reset & ~reset
        if waiting.any():
            raise ConfigError(
                f"environment {int(np.argmax(waiting))} ended in the last step: give its last "
                "observation in final_observations, or say in is_reset_step that this step has "
                "reset it"
            )
        ended = step.terminated | step.truncated
        for index in step.final_observations:
            if not ended[index]:
                raise ConfigError(
                    f"final_observations has environment {index}, whose episode has not ended"
                )

    def advance(self, acted: Acted, step: StepResult) -> None:
        """Stores the policy's new state, and the rewards of the last actions."""
        self._state, self._rewards = acted.state, step.rewards.astype(np.float32)
        self._awaits_reset = step.terminated | step.truncated
        self._awaits_reset[list(step.final_observations)] = False

    def begin_ended(self, policy: OnnxPolicy, step: StepResult) -> None:
        """Begins the episodes that follow those that ended in a step."""
        begins = step.terminated | step.truncated
        if step.is_reset_step is not None:
            begins = step.is_reset_step
        if not begins.any():
            return
        self._rewards = np.where(begins, np.float32(0), self._rewards)
        initial = policy.initial_state(self._environments)
        self._state = {
            name: np.where(begins.reshape(-1, *[1] * (value.ndim - 1)), initial[name], value)
            for name, value in self._state.items()
        }

    def observe_in(self, index: int, policy: OnnxPolicy, observation: Columns) -> dict[str, Array]:
        """Returns an observation of one environment, without the leading n, in recorded form."""
        one = slice(index, index + 1)
        rows = policy.observe(
            {path: leaf[None] for path, leaf in observation.items()},
            self._rows(one),
            self._rewards[one],
        )
        return {name: values[0] for name, values in rows.items()}

    def _rows(self, rows: slice) -> dict[str, Array]:
        return {name: value[rows] for name, value in self._state.items()}
