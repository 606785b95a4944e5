"""RLlib's episode pieces as one batch of the wire."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import DEFAULT_MODULE, ColumnSpec, ModuleManifest, numpy_dtype
from headrace.protocol.paths import flatten_paths
from headrace.protocol.trajectory import (
    ACTIONS,
    DEFAULT_AGENT,
    EPISODE_ID_BYTES,
    OBSERVATIONS,
    REWARDS,
    ChunkTable,
    ModuleTrajectories,
    TrajectoryBatch,
    is_column,
)

Clock = Callable[[], float]


@dataclass
class _Whole:
    """What is known of an episode of which pieces have come."""

    episode_id: bytes
    started_at_s: float
    total_reward: float = 0.0


class EpisodeBatch:
    """Joins the pieces of each episode that come one after the other, until `take`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._whole: dict[str, _Whole] = {}
        self._chunks: dict[str, SingleAgentEpisode] = {}
        self.env_steps = 0

    def add(self, piece: SingleAgentEpisode) -> None:
        """Takes what `sample()` of RLlib's runner returned; not in numpy form."""
        if not len(piece):
            return
        whole = self._whole.setdefault(
            piece.id_, _Whole(secrets.token_bytes(EPISODE_ID_BYTES), self._clock())
        )
        whole.total_reward += piece.get_return()
        self.env_steps += len(piece)
        former = self._chunks.get(piece.id_)
        if former is None:
            self._chunks[piece.id_] = piece
        else:
            former.concat_episode(piece)

    def take(self, module: ModuleManifest) -> TrajectoryBatch:
        """Returns all that was added since the last time; episodes go on.

        Raises:
            ConfigError: the episodes do not hold what the learner's manifest asks for.
        """
        chunks = [chunk.to_numpy() for chunk in self._chunks.values()]
        lookbacks = [min(module.lookback, _lookback_of(chunk)) for chunk in chunks]
        columns = {
            spec.name: np.concatenate(
                [_rows(c, spec, lookback) for c, lookback in zip(chunks, lookbacks, strict=True)]
            )
            for spec in module.columns
        }
        table = self._table(chunks, lookbacks)
        for chunk in chunks:
            if chunk.is_done:
                del self._whole[chunk.id_]
        self._chunks, self.env_steps = {}, 0
        return TrajectoryBatch({DEFAULT_MODULE: ModuleTrajectories(table, columns)})

    def _table(self, chunks: list[SingleAgentEpisode], lookbacks: list[int]) -> ChunkTable:
        now_s = self._clock()
        integers: list[tuple[int, ...]] = []
        floats: list[tuple[float, float]] = []
        for chunk, lookback in zip(chunks, lookbacks, strict=True):
            whole, ended = self._whole[chunk.id_], chunk.is_done
            integers.append(
                (
                    0,  # the only agent
                    chunk.t_started,
                    chunk.t_started,
                    len(chunk),
                    lookback,
                    chunk.is_terminated,
                    chunk.is_truncated,
                    chunk.t if ended else 0,
                )
            )
            seconds = now_s - whole.started_at_s
            floats.append((whole.total_reward, seconds) if ended else (math.nan, math.nan))
        ids = b"".join(self._whole[chunk.id_].episode_id for chunk in chunks)
        return ChunkTable(
            agents=(DEFAULT_AGENT,),
            episode_id=np.frombuffer(ids, np.uint8).reshape(-1, EPISODE_ID_BYTES),
            integers=np.array(integers, np.int64),
            floats=np.array(floats, np.float64),
        )


def _lookback_of(chunk: SingleAgentEpisode) -> int:
    return int(min(chunk.observations.lookback, chunk.t_started))


def _rows(chunk: SingleAgentEpisode, spec: ColumnSpec, lookback: int) -> Array:
    """Returns a chunk's rows of a column, as many before its first step as `lookback` says."""
    root = spec.name.split("/")[0]
    buffer: Any
    if root == OBSERVATIONS:
        buffer = chunk.observations
    elif root == ACTIONS:
        buffer = chunk.actions
    elif root == REWARDS:
        buffer = chunk.rewards
    else:
        buffer = chunk.extra_model_outputs.get(root)
    leaves = flatten_paths(buffer.data, root) if buffer is not None else {}
    if spec.name not in leaves:
        raise ConfigError(
            f"RLlib's episodes hold no {spec.name!r}, which the learner asks for: do both use the "
            "same config?"
        )
    steps = len(chunk) + is_column(OBSERVATIONS, spec.name)
    values = np.asarray(leaves[spec.name])
    return values[len(values) - steps - lookback :].astype(numpy_dtype(spec), copy=False)
