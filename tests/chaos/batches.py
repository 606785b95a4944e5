"""Batches that say in their content who made them, so that no header has to be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from support.examples import make_batch

from headrace.protocol.headers import Frame
from headrace.protocol.trajectory import TrajectoryBatch, unpack_batch


@dataclass(frozen=True, order=True)
class BatchId:
    """A batch of one life (process) of an actor; `number` counts from 1 in each life."""

    actor: int
    life: int
    number: int


def make_marked_batch(batch: BatchId, env_steps: int) -> TrajectoryBatch:
    """Returns a batch with its id in the observations, and its number in every reward."""
    observations = np.zeros((env_steps + 1, 4), np.float32)
    observations[:, 0] = batch.actor
    observations[:, 1] = batch.life
    observations[:, 2], observations[:, 3] = divmod(batch.number, 1 << 20)
    return make_batch(
        [env_steps], obs=observations, rewards=np.full(env_steps, batch.number, np.float32)
    )


def read_mark(payload: Frame) -> BatchId:
    """Returns the id in a batch's content; asserts that all of its steps agree."""
    (module,) = unpack_batch(payload).modules.values()
    observations = np.asarray(module.columns["obs"])
    assert (observations == observations[0]).all(), "steps of different batches in one"
    actor, life, high, low = (int(value) for value in observations[0])
    mark = BatchId(actor, life, (high << 20) + low)
    assert (module.columns["rewards"] == np.float32(mark.number)).all(), (
        "a batch with other rewards"
    )
    return mark
