"""Batches whose content identifies them, so that checks need not trust headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from support.examples import make_table

from headrace.protocol.manifest import DEFAULT_MODULE, Manifest
from headrace.protocol.messages.headers import Frame
from headrace.protocol.trajectory import ModuleTrajectories, TrajectoryBatch, unpack_batch

_BASE = 1 << 20
_REWARDS = 1000


@dataclass(frozen=True, order=True)
class BatchId:
    """A batch of one life (process) of an actor; `number` counts from 1 in each life."""

    actor: int
    life: int
    number: int


def make_marked_batch(batch: BatchId, env_steps: int, manifest: Manifest) -> TrajectoryBatch:
    """Returns one chunk of its own episode, with the batch's id in every observation.

    Other columns of the manifest are zeros.
    """
    columns = {
        column.name: np.zeros((env_steps, *column.shape), column.dtype)
        for column in manifest.modules[DEFAULT_MODULE].columns
    }
    columns["obs"] = np.zeros((env_steps + 1, 4), np.float32)
    columns["obs"][:] = (batch.actor, batch.life, *divmod(batch.number, _BASE))
    columns["rewards"][:] = batch.number % _REWARDS
    name = np.array([batch.actor, batch.number], np.int64).view(np.uint8)
    table = make_table([env_steps], episode_id=name.reshape(1, 16))
    return TrajectoryBatch({DEFAULT_MODULE: ModuleTrajectories(table, columns)})


def read_mark(payload: Frame) -> BatchId:
    """Returns the id in a batch's content."""
    (module,) = unpack_batch(payload).modules.values()
    return mark_of(module.columns["obs"], module.columns["rewards"])


def mark_of(observations: Any, rewards: Any) -> BatchId:
    """Returns the id in observations; asserts that all steps agree on it."""
    rows = np.asarray(observations)
    assert (rows == rows[0]).all(), "one batch contains steps of several"
    actor, life, high, low = (int(value) for value in rows[0])
    mark = BatchId(actor, life, high * _BASE + low)
    assert (np.asarray(rewards) == mark.number % _REWARDS).all(), "rewards of another batch"
    return mark
