"""Assigns tasks to actors from the learner's script."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
from ray.rllib.algorithms.algorithm import Algorithm

from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.protocol.errors import ConfigError
from headrace.protocol.messages import Assignment

_MAX_BYTES = 16_384
"""An assignment is part of every `delivery` that the broker sends, to every actor."""

WallClock = Callable[[], float]


def assign(
    algorithm: Algorithm,
    task: str,
    *,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    wall_clock: WallClock = time.time,
) -> None:
    """Assigns a task to all current and future actors, for their next episodes.

    Call it between two `train()` calls, or in a callback such as `on_train_result`. An assignment
    holds until the next call, or until another Algorithm uses the broker: a restored one must
    assign again. Batches recorded before may still arrive; `env_runners/headrace/tasks` in the
    result contains returns by task.

    Args:
        task: the assignment's name in results, such as `level-3`: printable ASCII, no spaces.
        options: passed to environments as `reset(options=…)`. Numbers, strings, booleans, None,
            and lists of these.
        seed: seed of the first reset under the assignment, the same for each actor; None for
            random ones.

    Raises:
        ConfigError: the wire cannot carry the assignment.
    """
    # Above the numbers that an earlier Algorithm of this process may have used with the logdir.
    number = int(wall_clock() * 1e6)
    assignment = make_assignment(number, task, options or {}, seed)
    runner = algorithm.env_runner
    if isinstance(runner, BrokerEnvRunner):
        runner.link.assign(assignment)
        return
    group = algorithm.env_runner_group
    if group is None:
        raise ConfigError("this Algorithm has no env runners to send an assignment to the broker")
    manager = group._worker_manager  # pyright: ignore[reportPrivateUsage] # no public API
    for remote in manager.actors().values():
        remote.apply.remote(_Assign(assignment))


class _Assign:
    """Assigns from a runner in another process, once its current `sample()` has returned."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def __call__(self, runner: BrokerEnvRunner) -> None:
        runner.link.assign(self._assignment)


def make_assignment(
    number: int, task: str, options: Mapping[str, Any], seed: int | None
) -> Assignment:
    """Returns an assignment as a message of the wire.

    Raises:
        ConfigError: the wire cannot carry it.
    """
    plain = {name: _plain(value) for name, value in options.items()}
    fields = {"number": number, "task": task, "options": plain}
    if seed is not None:
        fields["seed"] = seed
    try:
        assignment = msgspec.convert(fields, Assignment)
        size_bytes = len(msgspec.msgpack.encode(assignment))
    except (msgspec.ValidationError, OverflowError, UnicodeError) as error:
        raise ConfigError(
            f"cannot assign this: {error}; a task is 1 to 128 printable characters without spaces, "
            "options are numbers, strings, booleans and lists of these, a seed is not negative"
        ) from error
    if size_bytes > _MAX_BYTES:
        raise ConfigError(
            f"cannot assign {size_bytes} bytes of options; the limit is {_MAX_BYTES}: pass large "
            "data by name, and let the environment load it"
        )
    return assignment


def _plain(value: Any) -> Any:
    """Returns NumPy numbers, which RLlib's results are full of, as Python numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
