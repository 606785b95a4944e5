"""The statistics of RLlib's MeanStdFilter: kept by the learner, sent with the weights.

Actors normalise inside the graph, with the statistics of their policy version, and record the raw
observations. The learner adds these to the statistics, and normalises them as the actor did.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.connectors.env_to_module import EnvToModulePipeline, MeanStdFilter
from ray.rllib.utils.filter import RunningStat

from headrace.learner.export.observation_stages import MeanStdStage
from headrace.learner.spaces import nest_columns
from headrace.protocol.arrays import Array
from headrace.protocol.paths import flatten_paths
from headrace.protocol.trajectory import OBSERVATIONS, Chunk, is_column

_REMEMBERED_VERSIONS = 4096


class ObservationFilter:
    """The filter of a pipeline, and its statistics at each published version."""

    def __init__(self, pipeline: EnvToModulePipeline, stage: MeanStdStage) -> None:
        connectors: list[Any] = pipeline.connectors
        self._connector: Any = next(c for c in connectors if isinstance(c, MeanStdFilter))
        self._stage = stage
        self._by_number: OrderedDict[int, dict[str, Array]] = OrderedDict()
        self.remember(0)

    def remember(self, number: int) -> None:
        """Stores the current statistics as those of the version with this number."""
        self._by_number[number] = self._tensors()
        if len(self._by_number) > _REMEMBERED_VERSIONS:
            self._by_number.popitem(last=False)

    def tensors(self, number: int) -> dict[str, Array]:
        """Returns the statistics of a version, by the names of the graph's inputs."""
        known = self._by_number.get(number)
        return known if known is not None else next(reversed(self._by_number.values()))

    def take(self, chunk: Chunk, number: int) -> dict[str, Array]:
        """Adds a chunk's observations to the statistics, and returns its columns normalised."""
        observed = {name: v for name, v in chunk.columns.items() if is_column(OBSERVATIONS, name)}
        if self._connector._update_stats:  # RLlib has no public API for it
            self._count(observed, chunk)
        tensors = {name: torch.as_tensor(value) for name, value in self.tensors(number).items()}
        rows = {path: torch.as_tensor(np.array(values)) for path, values in observed.items()}
        nested = nest_columns(self._stage.input, rows)
        normalized = self._stage(nested, {}, tensors, torch.zeros(0))
        filtered = flatten_paths(normalized, OBSERVATIONS)
        return {
            **chunk.columns,
            **{
                path: rows.numpy().astype(observed[path].dtype, copy=False)
                for path, rows in filtered.items()
            },
        }

    def _count(self, observed: Mapping[str, Array], chunk: Chunk) -> None:
        # The first observation of a continued chunk is the last one of the chunk before.
        first = chunk.lookback + int(chunk.t_started > 0)
        for path, stat in self._running_stats().items():
            for row in observed[path][first:]:
                stat.push(row)

    def _tensors(self) -> dict[str, Array]:
        tensors: dict[str, Array] = {}
        for path, stat in self._running_stats().items():
            # A standard deviation needs two observations; until then nothing is changed.
            has_spread = stat.n > 1
            mean = stat.mean if has_spread else np.zeros(stat.shape)
            std = stat.std if has_spread else np.ones(stat.shape)
            tensors[f"filter/{path}/mean"] = np.asarray(mean, np.float32).copy()
            tensors[f"filter/{path}/std"] = np.asarray(std, np.float32).copy()
        return tensors

    def _running_stats(self) -> dict[str, RunningStat]:
        if self._connector._filters is None:
            self._connector._init_new_filters()
        filters: Any = self._connector._filters
        stats = flatten_paths(filters[None].running_stats, OBSERVATIONS)
        wanted = self._stage.tensor_shapes
        return {path: stat for path, stat in stats.items() if f"filter/{path}/mean" in wanted}
