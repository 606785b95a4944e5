"""Checks the results of steps of n environments, before they are recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.actors.recording.non_finite import (
    are_finite,
    fault_of_leaves,
    fault_of_reward,
    faults_by_row,
    with_zeros,
)
from headrace.actors.recording.simulator_values import flags_of, rewards_of
from headrace.actors.recording.step_result import Columns, StepResult
from headrace.protocol.arrays import array_of
from headrace.protocol.errors import ConfigError

_NAMED_ROWS = "a dict of arrays with one row per environment, by path"

Faults = dict[int, str]
"""What is not finite, by index of the environment."""


def fit_step(policy: OnnxPolicy, step: StepResult, environments: int) -> StepResult:
    """Returns a step with observations, rewards and flags in the dtypes to record.

    Of an episode that has both terminated and been truncated, it has terminated.

    Raises:
        ConfigError: a value is not what the policy expects, or not a number or a flag.
    """
    terminated = flags_of("terminated", step.terminated, environments)
    observations = policy.fit(require_rows(step.observations, environments))
    _require_final_observations(step.final_observations, environments)
    return dataclasses.replace(
        step,
        observations=observations,
        rewards=rewards_of(step.rewards, environments),
        terminated=terminated,
        truncated=flags_of("truncated", step.truncated, environments) & ~terminated,
        final_observations={
            index: fit_one(policy, final) for index, final in step.final_observations.items()
        },
    )


def require_rows(observations: Columns, environments: int) -> Columns:
    """Returns observations of n environments.

    Raises:
        ConfigError: these are not arrays [n, …] by path.
    """
    if not isinstance(observations, Mapping):
        raise ConfigError(
            f"observations are {_NAMED_ROWS}, not {type(observations).__name__}: write "
            '{"obs": observations}'
        )
    rows = {
        path: leaf if type(leaf) is np.ndarray else array_of(path, leaf)
        for path, leaf in observations.items()
    }
    for path, leaf in rows.items():
        if leaf.ndim == 0 or len(leaf) != environments:
            raise ConfigError(
                f"{path!r} has the shape {leaf.shape}; for {environments} environments it has "
                f"{environments} rows"
            )
    return rows


def _require_final_observations(final: Mapping[int, Columns], environments: int) -> None:
    """Raises ConfigError unless they are one observation each, by index of an environment."""
    if not isinstance(final, Mapping) or not all(
        isinstance(index, int) and 0 <= index < environments and isinstance(own, Mapping)
        for index, own in final.items()
    ):
        raise ConfigError(
            "final_observations are a dict, by index of the environments that ended, of arrays by "
            'path, such as {0: {"obs": array}}'
        )


def fit_one(policy: OnnxPolicy, observation: Columns) -> Columns:
    """Returns one observation, without the leading n, in the dtypes that a graph takes."""
    fitted = policy.fit({path: np.asarray(leaf)[None] for path, leaf in observation.items()})
    return {path: rows[0] for path, rows in fitted.items()}


def faults_of(step: StepResult) -> Faults:
    """Returns which environments' episodes got a value that is not finite.

    The first observation of an episode that follows one that ended in this step is not looked at.
    """
    faults: Faults = {}
    if not are_finite(step.rewards):
        for index, reward in enumerate(step.rewards.tolist()):
            if (fault := fault_of_reward(reward)) is not None:
                faults[index] = fault
    for index, final in step.final_observations.items():
        if (fault := fault_of_leaves(final)) is not None:
            faults.setdefault(index, fault)
    for index, fault in faults_by_row(step.observations).items():
        if index not in step.final_observations:
            faults.setdefault(index, fault)
    if step.is_reset_step is not None:
        return {index: fault for index, fault in faults.items() if not step.is_reset_step[index]}
    return faults


def finite_step(step: StepResult) -> StepResult:
    """Returns a step with zeros in place of values that are not finite."""
    return dataclasses.replace(
        step,
        observations=with_zeros(step.observations),
        rewards=np.array([0.0 if fault_of_reward(r) else r for r in step.rewards.tolist()]),
        final_observations={
            index: with_zeros(final) for index, final in step.final_observations.items()
        },
    )
