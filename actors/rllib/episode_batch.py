"""Converts the episode chunks of RLlib's runner into one batch of the wire."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.actors.recording.chunk_tables import ChunkRow, WholeEpisode, make_chunk_table
from headrace.protocol.arrays import Array
from headrace.protocol.errors import ConfigError, LocalProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE, ColumnSpec, ModuleManifest, numpy_dtype
from headrace.protocol.paths import flatten_paths
from headrace.protocol.trajectory import (
    ACTIONS,
    DEFAULT_AGENT,
    EPISODE_ID_BYTES,
    OBSERVATIONS,
    REWARDS,
    ModuleTrajectories,
    TrajectoryBatch,
    is_column,
)

Clock = Callable[[], float]


@dataclass
class _EpisodeTotals:
    """The running totals of an episode whose chunks have been added."""

    episode_id: bytes
    started_at_s: float
    total_reward: float = 0.0


class EpisodeBatch:
    """Joins the successive chunks of each episode until the batch is taken.

    First `adopt` the module of the learner's manifest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._module: ModuleManifest | None = None
        self._known: dict[str, _EpisodeTotals] = {}
        self._chunks: dict[str, SingleAgentEpisode] = {}
        self.env_steps = 0

    @property
    def has_open(self) -> bool:
        """Whether an episode whose chunks have been added has not ended."""
        return any(id_ not in self._chunks or not self._chunks[id_].is_done for id_ in self._known)

    def adopt(self, module: ModuleManifest) -> None:
        """Sets the columns of the next batches."""
        self._module = module

    def add(self, piece: SingleAgentEpisode) -> None:
        """Adds a chunk from `sample()` of RLlib's runner; not in numpy form."""
        if not len(piece):
            return
        known = self._known.setdefault(
            piece.id_, _EpisodeTotals(secrets.token_bytes(EPISODE_ID_BYTES), self._clock())
        )
        known.total_reward += piece.get_return()
        self.env_steps += len(piece)
        former = self._chunks.get(piece.id_)
        if former is None:
            self._chunks[piece.id_] = piece
        else:
            former.concat_episode(piece)

    def take_batch(self) -> tuple[TrajectoryBatch, int]:
        """Returns everything added since the last batch, and its env steps; episodes continue.

        Raises:
            ConfigError: the episodes lack a column that the learner's manifest asks for.
            LocalProtocolError: nothing was added, or no module was adopted.
        """
        module = self._module
        if module is None or not self._chunks:
            raise LocalProtocolError("a batch needs a module and at least one step")
        chunks = [chunk.to_numpy() for chunk in self._chunks.values()]
        lookbacks = [min(module.lookback, _lookback_of(chunk)) for chunk in chunks]
        columns = {
            spec.name: np.concatenate(
                [_rows(c, spec, lookback) for c, lookback in zip(chunks, lookbacks, strict=True)]
            )
            for spec in module.columns
        }
        table = make_chunk_table([self._row(*one) for one in zip(chunks, lookbacks, strict=True)])
        batch = TrajectoryBatch({DEFAULT_MODULE: ModuleTrajectories(table, columns)})
        return batch, self.discard_batch()

    def discard_batch(self) -> int:
        """Forgets what was added since the last batch, and returns its env steps."""
        for id_, chunk in self._chunks.items():
            if chunk.is_done:
                del self._known[id_]
        env_steps, self._chunks, self.env_steps = self.env_steps, {}, 0
        return env_steps

    def abandon(self) -> None:
        """Forgets all episodes; the next chunks belong to new ones."""
        self._known, self._chunks, self.env_steps = {}, {}, 0

    def _row(self, chunk: SingleAgentEpisode, lookback: int) -> ChunkRow:
        known = self._known[chunk.id_]
        return ChunkRow(
            episode_id=known.episode_id,
            agent=DEFAULT_AGENT,
            env_t_started=chunk.t_started,
            t_started=chunk.t_started,
            length=len(chunk),
            lookback=lookback,
            terminated=chunk.is_terminated,
            truncated=chunk.is_truncated,
            whole=(
                WholeEpisode(chunk.t, known.total_reward, self._clock() - known.started_at_s)
                if chunk.is_done
                else None
            ),
        )


def _lookback_of(chunk: SingleAgentEpisode) -> int:
    return int(min(chunk.observations.lookback, chunk.t_started))


def _rows(chunk: SingleAgentEpisode, spec: ColumnSpec, lookback: int) -> Array:
    """Returns a chunk's rows of a column, preceded by `lookback` earlier ones."""
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
            f"RLlib's episodes lack {spec.name!r}, which the learner asks for: do both use the "
            "same config?"
        )
    steps = len(chunk) + is_column(OBSERVATIONS, spec.name)
    values = np.asarray(leaves[spec.name])
    return values[len(values) - steps - lookback :].astype(numpy_dtype(spec), copy=False)
