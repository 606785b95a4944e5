"""Flattens what actors recorded as the simulator gave it, as RLlib's FlattenObservations does.

An index is one integer on the wire, and as many floats as it has values in a train batch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from headrace.learner.export.observation_stages import FlattenStage, ObservationStage
from headrace.learner.spaces import leaf_spaces
from headrace.protocol.arrays import Array
from headrace.protocol.trajectory import OBSERVATIONS, Chunk, is_column


class ObservationFlattening:
    """The learner's part of a stage that is not recorded."""

    def __init__(self, stage: FlattenStage) -> None:
        self._leaves = leaf_spaces(stage.input, OBSERVATIONS)

    def apply(self, chunk: Chunk) -> Chunk:
        """Returns a chunk with one vector per observation."""
        return dataclasses.replace(chunk, columns=self.flatten(chunk.columns))

    def flatten(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Returns columns with one vector per observation."""
        parts = [_flattened(columns[path], leaf) for path, leaf in self._leaves.items()]
        others = {name: v for name, v in columns.items() if not is_column(OBSERVATIONS, name)}
        return {OBSERVATIONS: np.concatenate(parts, axis=-1), **others}


def _flattened(rows: Array, space: gym.Space[Any]) -> Array:
    if isinstance(space, gym.spaces.Discrete):
        return _one_hot(rows, int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        counts = np.asarray(space.nvec).reshape(-1)
        indices = rows.reshape(len(rows), -1)
        columns = [_one_hot(indices[:, i], int(count)) for i, count in enumerate(counts)]
        return np.concatenate(columns, axis=-1)
    return rows.reshape(len(rows), math.prod(space.shape or ())).astype(np.float32)


def _one_hot(indices: Array, count: int) -> Array:
    hot: Array = (indices.reshape(-1, 1) == np.arange(count)).astype(np.float32)
    return hot


def flattening_of(stages: Sequence[ObservationStage]) -> ObservationFlattening | None:
    """Returns the learner's part of a run's stages, None if actors record flat observations."""
    found = [s for s in stages if isinstance(s, FlattenStage) and not s.is_recorded]
    return ObservationFlattening(found[0]) if found else None
