"""Checks the results of steps of n environments, before they are recorded."""

from __future__ import annotations

import dataclasses

import numpy as np

from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.actors.recording.non_finite import (
    array_with_zeros,
    fault_of_leaves,
    fault_of_reward,
    faults_by_row,
    with_zeros,
)
from headrace.actors.recording.simulator_values import flags_of, rewards_of
from headrace.actors.recording.step_result import Columns, StepResult

Faults = dict[int, str]
"""What is not finite, by index of the environment."""


def fit_step(policy: OnnxPolicy, step: StepResult, environments: int) -> StepResult:
    """Returns a step with observations, rewards and flags in the dtypes to record.

    Of an episode that has both terminated and been truncated, it has terminated.

    Raises:
        ConfigError: a value is not what the policy expects, or not a number or a flag.
    """
    terminated = flags_of("terminated", step.terminated, environments)
    return dataclasses.replace(
        step,
        observations=policy.fit(step.observations),
        rewards=rewards_of(step.rewards, environments),
        terminated=terminated,
        truncated=flags_of("truncated", step.truncated, environments) & ~terminated,
        final_observations={
            index: fit_one(policy, final) for index, final in step.final_observations.items()
        },
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
    if not np.isfinite(step.rewards).all():
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
        rewards=array_with_zeros(step.rewards),
        final_observations={
            index: with_zeros(final) for index, final in step.final_observations.items()
        },
    )
