"""Checks of the tasks that batches name."""

from __future__ import annotations

from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.protocol.trajectory import unpack_batch
from support.running import Learner, wait_until


def take_until(learner: Learner, task: str | None) -> list[LeasedBatch]:
    """Takes batches until some have a given task."""
    taken: list[LeasedBatch] = []

    def have_come() -> bool:
        taken.extend(learner.take(5))
        return task in {batch.lease.task for batch in taken}

    wait_until(have_come)
    return taken


def levels_of(batch: LeasedBatch) -> set[float]:
    """Returns the levels of a batch's steps; see `support.levels`."""
    chunks = unpack_batch(batch.payload)
    return {float(value) for chunk in chunks for value in chunk.columns["obs"][:, 1]}


def assert_that_tasks_are_true(batches: list[LeasedBatch]) -> None:
    """Checks that each batch names the level of its steps."""
    for batch in batches:
        assert levels_of(batch) == {float(str(batch.lease.task).removeprefix("level-"))}


def assert_that_tasks_are_true_or_mixed(batches: list[LeasedBatch], *levels: float) -> None:
    """Checks the same, but a batch may mix these levels, and then names none."""
    for batch in batches:
        if batch.lease.task is None:
            assert levels_of(batch) == set(levels)
        else:
            assert_that_tasks_are_true([batch])
